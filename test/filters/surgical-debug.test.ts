import assert from 'node:assert/strict';
import { approximateBytes } from '../../plugins/filters/surgical-debug/message-size.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { parseFilterLine } from '../support/filter-line.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createLogBook } from './bed/log-book.ts';
import { runCall } from './bed/run-call.ts';
import { startOnly } from './bed/start-only.ts';

const id = 'showrunner.surgical-debug';
const always = '2999-01-01T00:00:00Z';

function start(config: object, clock = createFakeClock(), book = createLogBook()) {
  return startOnly({ [id]: { enabled: true, ...config } }, { clock, log: book.log, only: [id] });
}

const rule = (fields: object) => ({ name: 'r', expiresAt: always, ...fields });
const principal = (name: string, ...scopes: string[]) => ({
  principal: { id: name, scopes: new Set(scopes), method: 'jwt' as const },
});

describe('the size of messages', () => {
  it('counts texts, bytes and numbers at any depth, not the type name', () => {
    const message = { $typeName: 'test.Message', text: 'äb', list: [1, 2n, true], inner: { bytes: new Uint8Array(9) } };
    assert.equal(approximateBytes(message), 3 + 17 + 9);
    assert.equal(approximateBytes(undefined), 0);
  });

  it('ends on messages that contain themselves', () => {
    const message: Record<string, unknown> = { text: 'abc' };
    message['self'] = message;
    assert.equal(approximateBytes(message), 3);
  });
});

describe('surgical debugging', () => {
  it('is off unless it is switched on', async () => {
    await using engine = await start({ enabled: false, rules: [rule({ paths: ['*'] })] });
    assert.equal(engine.open(createFakeCall()), undefined);
  });

  it('tells a matching call from its metadata to its end, each message with size and time', async () => {
    const book = createLogBook();
    const clock = createFakeClock();
    await using engine = await start({ rules: [rule({ paths: ['/test.Service/*'] })] }, clock, book);
    const call = createFakeCall({
      ...principal('ann'),
      deadline: clock.now() + 500,
      metadata: { 'user-agent': 'cli' },
    });
    const endpoint = async () => {
      await clock.advance(30);
      return [{ text: 'four' }];
    };
    await runCall(engine, call, { requests: [{ text: 'ab' }], endpoint });
    const lines = book.lines.filter(({ call_id }) => call_id === call.id);
    assert.deepEqual(
      lines.map(({ message, at_ms, about_bytes, debug_rule }) => [message, at_ms, about_bytes, debug_rule]),
      [
        ['debug call', 0, undefined, 'r'],
        ['debug request', 0, 2, 'r'],
        ['debug response', 30, 4, 'r'],
        ['debug end', 30, undefined, 'r'],
      ],
    );
    assert.deepEqual([lines[0]?.['principal'], lines[0]?.['left_ms']], ['ann', 500]);
    assert.equal(parseFilterLine(String(lines[3]?.['filters']))[0]?.status, 'ran');
  });

  it('shows values of listed metadata only, and contents of messages never', async () => {
    const book = createLogBook();
    await using engine = await start(
      { rules: [rule({ paths: ['*'] })], shownMetadata: ['user-agent'] },
      undefined,
      book,
    );
    const metadata = { authorization: 'Bearer topsecret', 'user-agent': 'cli', 'x-bin': new Uint8Array(5) };
    const call = createFakeCall({ metadata });
    const endpoint = () => {
      call.responseTrailers.set('x-secret', 'topsecret');
      return [{ text: 'topsecret' }];
    };
    await runCall(engine, call, { requests: [{ text: 'topsecret' }], endpoint });
    assert.ok(!JSON.stringify(book.lines).includes('topsecret'));
    assert.deepEqual(JSON.parse(String(book.of('debug call')[0]?.['metadata'])), {
      ...{ authorization: '(16 characters)', 'user-agent': 'cli', 'x-bin': '(5 bytes)' },
    });
  });

  it('matches by principal, path and header, all of which must hold', async () => {
    const rules = [rule({ principals: ['key:*'], paths: ['/test.*'], headers: { 'x-device': 'tv-*' } })];
    const book = createLogBook();
    await using engine = await start({ rules }, undefined, book);
    const metadata = { 'x-device': 'tv-1' };
    const followed = [
      await runCall(engine, createFakeCall({ ...principal('key:a'), metadata })),
      await runCall(engine, createFakeCall({ ...principal('other'), metadata })),
      await runCall(engine, createFakeCall({ metadata })),
      await runCall(engine, createFakeCall({ ...principal('key:a') })),
      await runCall(engine, createFakeCall({ ...principal('key:a'), metadata: { 'x-device': 'phone' } })),
      await runCall(engine, createFakeCall({ ...principal('key:a'), metadata, service: 'other' })),
    ];
    assert.equal(followed.length, 6);
    assert.deepEqual(
      book.of('debug call').map(({ principal: who }) => who),
      ['key:a'],
    );
  });

  it('ends with its time and its number of calls', async () => {
    const clock = createFakeClock();
    const book = createLogBook();
    const expiresAt = new Date(clock.now() + 1000).toISOString();
    const rules = [rule({ paths: ['*'], expiresAt, maxCalls: 2 })];
    await using engine = await start({ rules }, clock, book);
    for (let call = 0; call < 5; call++) await runCall(engine, createFakeCall());
    assert.equal(book.of('debug call').length, 2);
    await using later = await start({ rules: [rule({ paths: ['*'] })] }, clock, book);
    await clock.advance(86_400_000 - 1);
    await runCall(later, createFakeCall());
    assert.equal(book.of('debug call').length, 3);
    await clock.advance(1);
    await runCall(later, createFakeCall());
    assert.equal(book.of('debug call').length, 3, 'a day at most');
  });

  it('gives the account of the filters as a trailer to trusted callers, on failure too', async () => {
    await using engine = await start({ rules: [rule({ paths: ['*'] })], trailerScope: 'debug' });
    const boom = new AppError({ code: Code.INTERNAL, reason: 'BOOM', message: 'boom' });
    for (const endpoint of [() => ['x'], () => Promise.reject(boom)]) {
      const trusted = createFakeCall(principal('ann', 'debug'));
      await runCall(engine, trusted, { endpoint });
      assert.equal(parseFilterLine(trusted.responseTrailers.get('x-filters') ?? '')[0]?.id, id);
      const other = createFakeCall(principal('bob'));
      await runCall(engine, other, { endpoint });
      assert.equal(other.responseTrailers.get('x-filters'), undefined);
    }
    await using closed = await start({ rules: [rule({ paths: ['*'] })] });
    const call = createFakeCall(principal('ann', 'debug'));
    await runCall(closed, call);
    assert.equal(call.responseTrailers.get('x-filters'), undefined);
  });

  it('has a bounded number of lines per call, and counts the rest', async () => {
    const book = createLogBook();
    await using engine = await start({ rules: [rule({ paths: ['*'] })], maxMessages: 3 }, undefined, book);
    await runCall(engine, createFakeCall({ kind: 'bidi_stream' }), { requests: [1, 2, 3, 4, 5] });
    assert.equal(book.of('debug request').length + book.of('debug response').length, 3);
    assert.equal(book.of('debug end')[0]?.['messages_left_out'], 7);
  });

  it('refuses rules that cannot be', async () => {
    const load = (fields: object) => start({ rules: [rule(fields)] });
    for (const faulty of [{}, { paths: ['*'], expiresAt: 'tomorrow-ish' }, { paths: ['*'], maxCalls: 0 }]) {
      await rejectsWith(load(faulty), Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    }
  });
});
