import assert from 'node:assert/strict';
import { CallView, copyMessage } from '../../plugins/engine/call/call-view.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { runCall } from './bed/run-call.ts';
import { sourceOf, takeCalls } from './bed/staged.ts';

describe('a shadow', () => {
  it('runs beside the active version; what it does is compared, and no call sees it', async () => {
    await using folders = await createFilterFolders();
    await folders.filter(
      'a',
      "run: (call) => { call.responseHeaders.set('x', 'active'); }, onRequestMessage: (m) => { m.n++; },",
    );
    const engine = await folders.engine();
    const shadow = `open: () => ({ open: 0 }),
      run: (call, { state }) => {
        state.open++;
        call.responseHeaders.set('x', 'shadow'); call.requestMetadata.delete('given'); call.principal = { id: 'evil' };
        call.attributes.set(globalThis.shadowKey, 1);
        if (call.requestMetadata.get('refuse')) throw new AppError({ code: Code.ABORTED, reason: 'SHADOW_NO', message: 'no' });
        if (call.requestMetadata.get('throw')) throw new Error('shadow fault');
      },
      onRequestMessage: (m) => { m.n = 'shadow'; },
      onEnd: (call, outcome, { state }) => { state.open--; globalThis.shadowOpen = [state.open, call.responseHeaders.get('x')]; },`;
    Object.assign(globalThis, { shadowKey: Symbol('shadow') });
    const { group } = await engine.admin.stage([sourceOf('a', '2.0.0', shadow)]);
    await engine.admin.promote(group, { stage: 'shadow', share: 1, principals: [] });
    for (const metadata of [{ given: '1' }, { given: '1', refuse: '1' }, { given: '1', throw: '1' }]) {
      const call = createFakeCall({ metadata });
      const { error, endpointSaw } = await runCall(engine, call, { requests: [{ n: 1 }] });
      assert.equal(error, undefined);
      assert.deepEqual(endpointSaw, [{ n: 2 }]);
      assert.equal(call.responseHeaders.get('x'), 'active');
      assert.equal(call.requestMetadata.get('given'), '1');
      assert.equal(call.principal, undefined);
      assert.equal(call.attributes.has((globalThis as { shadowKey?: symbol }).shadowKey ?? Symbol()), false);
    }
    assert.deepEqual(
      (globalThis as { shadowOpen?: unknown }).shadowOpen,
      [0, 'shadow'],
      'its own end hook saw its own writes',
    );
    const { stage, explanation, counts } = engine.admin.get('test.a', '2.0.0');
    assert.equal(stage, 'shadow');
    assert.match(explanation, /compared 6, same 4, different 2/);
    assert.match(explanation, /1 x test\.a refused SHADOW_NO where the active one passed/);
    assert.match(explanation, /1 x test\.a failed where the active one passed/);
    assert.match(explanation, /median time: .* against/);
    assert.equal(counts.failed, 1);
  });

  it('whose result throws when it is looked at has failed, and nothing else has', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', 'run: () => {},');
    const engine = await folders.engine();
    const trap = "Object.defineProperty({}, 'messages', { get: () => { throw new Error('trap'); } })";
    const { group } = await engine.admin.stage([sourceOf('a', '2.0.0', `run: async () => ${trap},`)]);
    await engine.admin.promote(group, { stage: 'shadow', share: 1, principals: [] });
    assert.equal((await runCall(engine, createFakeCall())).error, undefined);
    await waitUntil('it has failed', () => engine.admin.get('test.a', '2.0.0').counts.failed === 1);
    assert.match(engine.admin.get('test.a', '2.0.0').explanation, /compared 1, same 0/);
  });

  it('holds no call up, and is ended after its time', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', 'run: async () => {},');
    const engine = await folders.engine();
    const { group } = await engine.admin.stage([
      sourceOf('a', '2.0.0', 'timeoutMs: 30, run: () => new Promise(() => {}),'),
    ]);
    await engine.admin.promote(group, { stage: 'shadow', share: 1, principals: [] });
    const startedAt = performance.now();
    await takeCalls(engine, 5);
    assert.ok(performance.now() - startedAt < 30);
    await waitUntil('they are ended', () => engine.admin.get('test.a', '2.0.0').counts.timedOut === 5);
    const { explanation, inFlight } = engine.admin.get('test.a', '2.0.0');
    assert.match(explanation, /5 x test\.a timed out where the active one passed/);
    assert.equal(inFlight, 0);
  });
});

describe('the view of a call for a filter on trial', () => {
  it('reads through and keeps every write to itself', () => {
    const kept = Symbol('kept');
    const removed = Symbol('removed');
    const call = createFakeCall({
      metadata: { a: '1', b: '2' },
      attributes: new Map([
        [kept, 1],
        [removed, 2],
      ]),
    });
    const view = new CallView(call);
    view.requestMetadata.set('a', 'x');
    view.requestMetadata.append('a', 'y');
    view.requestMetadata.delete('b');
    view.requestMetadata.set('c-bin', new Uint8Array([1]));
    view.attributes.delete(removed);
    view.attributes.set(kept, 3);
    view.id = 'other';
    assert.deepEqual(view.requestMetadata.getAll('a'), ['x', 'y']);
    assert.deepEqual(
      [view.requestMetadata.get('b'), view.requestMetadata.keys().toSorted()],
      [undefined, ['a', 'c-bin']],
    );
    assert.deepEqual(view.requestMetadata.getBinary('c-bin'), new Uint8Array([1]));
    assert.deepEqual([...view.attributes], [[kept, 3]]);
    assert.deepEqual([view.attributes.size, view.attributes.has(removed), view.attributes.get(kept)], [1, false, 3]);
    assert.deepEqual(
      [call.id === 'other', call.requestMetadata.get('a'), call.requestMetadata.get('b')],
      [false, '1', '2'],
    );
    assert.deepEqual(
      [...call.attributes],
      [
        [kept, 1],
        [removed, 2],
      ],
    );
    call.requestMetadata.set('late', '1');
    assert.equal(view.requestMetadata.get('late'), '1');
    view.attributes.clear();
    assert.equal(view.attributes.size, 0);
  });

  it('copies messages deeply', () => {
    class Message {
      list = [{ n: 1n }];
      bytes = new Uint8Array([1, 2]);
    }
    const message = new Message();
    const copy = copyMessage(message);
    assert.deepEqual(copy, message);
    assert.ok(copy instanceof Message);
    copy.bytes[0] = 9;
    copy.list.push({ n: 2n });
    assert.deepEqual([message.bytes[0], message.list.length], [1, 1]);
  });
});
