import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import type { AppError } from '../../server/core/errors.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders } from './bed/filter-folders.ts';

const stream = () => createFakeCall({ kind: 'bidi_stream' });
const outcome = { code: Code.OK, error: undefined, durationMs: 1, requestMessages: 1, responseMessages: 1 };
/** Marks messages with its version, and tells when it is opened and closed. */
const marking = (version: string, extra = 'followsReloads: true,') => `
  version: '${version}', ${extra}
  open: () => '${version}', close: (state) => { globalThis.streamLog?.push('closed ' + state); },
  onRequestMessage: (message, _call, { state }) => message + '>' + state,
  onResponseMessage: (message, _call, { state }) => message + '<' + state,
  onEnd: (_call, _outcome, { state }) => { globalThis.streamLog?.push('end ' + state); },`;

describe('a stream that lasts through reloads', () => {
  let told: string[];
  beforeEach(() => {
    told = [];
    (globalThis as { streamLog?: string[] }).streamLog = told;
  });
  after(() => {
    delete (globalThis as { streamLog?: string[] }).streamLog;
  });

  it('goes on with newer message hooks at the next message where its filter says so, and ends with its own version', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', marking('1.0.0'));
    const engine = await folders.engine();
    const session = engine.open(stream());
    await session?.inbound?.();
    assert.equal(session?.requestMessage?.('m'), 'm>1.0.0');
    for (const version of ['2.0.0', '3.0.0']) {
      await folders.filter('a', marking(version));
      assert.equal((await engine.reload()).result, 'ok');
      assert.equal(session?.requestMessage?.('m'), `m>${version}`);
      assert.equal(session?.responseMessage?.('m'), `m<${version}`);
    }
    assert.deepEqual(told, ['closed 2.0.0'], 'the stream holds no version between');
    await folders.remove('a');
    await folders.filter('b', 'run: () => {},');
    await engine.reload();
    assert.equal(session?.requestMessage?.('m'), 'm>1.0.0', 'none follows: its own, which is open still');
    session?.end?.(outcome);
    await engine.close();
    assert.deepEqual(
      told.filter((text) => text.startsWith('end')),
      ['end 1.0.0'],
    );
    assert.deepEqual(told.filter((text) => text.startsWith('closed')).sort(), [
      'closed 1.0.0',
      'closed 2.0.0',
      'closed 3.0.0',
    ]);
  });

  it('keeps its version when either side does not follow', async () => {
    for (const [before, after] of [
      ['', 'followsReloads: true,'],
      ['followsReloads: true,', ''],
    ]) {
      await using folders = await createFilterFolders();
      await folders.filter('a', marking('1.0.0', before));
      const engine = await folders.engine();
      const session = engine.open(stream());
      await session?.inbound?.();
      await folders.filter('a', marking('2.0.0', after));
      await engine.reload();
      assert.equal(session?.requestMessage?.('m'), 'm>1.0.0');
      session?.end?.(outcome);
    }
  });

  it('is ended when it stays on a replaced set for longer than allowed, and not before', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', marking('1.0.0', ''));
    const clock = createFakeClock();
    const engine = await folders.engine({ clock, drainDeadlineMs: 60_000 });
    const reasons: AppError[] = [];
    const stop = (reason: AppError) => void reasons.push(reason);
    const long = engine.open(createFakeCall({ kind: 'bidi_stream', stop }));
    const short = engine.open(createFakeCall({ kind: 'bidi_stream', stop }));
    await clock.advance(120_000);
    assert.deepEqual(reasons, [], 'the set still serves');
    await folders.filter('a', marking('2.0.0', ''));
    await engine.reload();
    const later = engine.open(createFakeCall({ kind: 'bidi_stream', stop }));
    short?.end?.(outcome);
    await clock.advance(59_999);
    assert.deepEqual(reasons, []);
    await clock.advance(1);
    assert.deepEqual(
      reasons.map(({ reason }) => reason),
      ['FILTERS_REPLACED'],
    );
    long?.end?.(outcome);
    later?.end?.(outcome);
  });
});
