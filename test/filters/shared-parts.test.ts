import assert from 'node:assert/strict';
import { createKeyedTable } from '../../plugins/engine/contract/keyed-table.ts';
import { createLoadSignals } from '../../plugins/engine/contract/load-signals.ts';
import { callKey, contextKey, deadlineOf, effectiveDeadline, schema } from '../../plugins/engine/filter.ts';
import type { Call } from '../../server/core/call.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { parseFilterLine } from '../support/filter-line.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { type AnyFilter, createInlinePipeline } from './bed/inline-pipeline.ts';
import { createLogBook } from './bed/log-book.ts';
import { runCall } from './bed/run-call.ts';

const base = { id: 'test.a', version: '1.0.0', order: 0, category: 'context', type: 'inbound' } as const;

describe('a filter with isEnabled', () => {
  const filter: AnyFilter = {
    ...base,
    config: schema.shape({ enabled: schema.withDefault(schema.flag(), false) }),
    isEnabled: ({ enabled }) => enabled,
    run: (call: Call) => call.responseHeaders.set('x-ran', '1'),
  };

  it('is out of every chain until its configuration switches it on', async () => {
    const off = await createInlinePipeline([filter]);
    const call = createFakeCall();
    assert.equal(off.open(call), undefined);
    const on = await createInlinePipeline([filter], { config: { 'test.a': { enabled: true } } });
    await runCall(on, call);
    assert.equal(call.responseHeaders.get('x-ran'), '1');
  });

  it('fails to load when the function throws', async () => {
    const bad: AnyFilter = { ...filter, isEnabled: () => assert.fail('no') };
    await assert.rejects(createInlinePipeline([bad]), { reason: 'FILTER_LOAD_FAILED' });
  });
});

describe('the status hook', () => {
  const boom = new AppError({ code: Code.ABORTED, reason: 'BOOM', message: 'boom' });

  it('runs once before the end, with the account so far, on success and on failure', async () => {
    for (const isFailing of [false, true]) {
      const seen: string[] = [];
      const filter: AnyFilter = {
        ...base,
        run: () => {},
        onStatus: (_call, line) => void seen.push(`status ${parseFilterLine(line)[0]?.status}`),
        onEnd: () => void seen.push('end'),
      };
      const pipeline = await createInlinePipeline([filter]);
      const endpoint = () => (isFailing ? Promise.reject(boom) : ['x']);
      await runCall(pipeline, createFakeCall(), { endpoint });
      assert.deepEqual(seen, ['status ran', 'end']);
    }
  });

  it('runs for no filter that was not reached, and its own failure is logged and leaves the call as it was', async () => {
    const book = createLogBook();
    const filters: AnyFilter[] = [
      { ...base, run: () => Promise.reject(boom), onStatus: () => assert.fail('from the hook') },
      { ...base, id: 'test.b', order: 1, onStatus: (call) => call.responseTrailers.set('x-reached', '1') },
    ];
    const call = createFakeCall();
    const { error } = await runCall(await createInlinePipeline(filters, { log: book.log }), call);
    assert.equal(error, boom);
    assert.equal(book.of('filter failed').length, 1);
    assert.equal(call.responseTrailers.get('x-reached'), undefined);
  });
});

describe('what filters share', () => {
  it('keys calls by service, method and principal, and callers without one by host', () => {
    const call = createFakeCall({ peer: '[::1]:99' });
    assert.deepEqual(
      (['all', 'service', 'method', 'principal'] as const).map((kind) => callKey(call, kind)),
      ['all', 'test.Service', '/test.Service/Get', 'peer:[::1]'],
    );
    const principal = { id: 'ann', scopes: new Set<string>(), method: 'jwt' as const };
    assert.equal(callKey(createFakeCall({ principal }), 'principal'), 'principal:ann');
    const nobody = { ...principal, method: 'none' as const };
    assert.equal(callKey(createFakeCall({ principal: nobody }), 'principal'), 'peer:127.0.0.1');
  });

  it('takes the earlier of the asked and the allowed deadline', () => {
    const call = createFakeCall({ deadline: 500 });
    assert.equal(deadlineOf(call), 500);
    effectiveDeadline.set(call, 700);
    assert.equal(deadlineOf(call), 500);
    effectiveDeadline.set(call, 300);
    assert.equal(deadlineOf(call), 300);
  });

  it('keeps keys of the same name apart', () => {
    const [a, b] = [contextKey<number>('x'), contextKey<number>('x')];
    const call = createFakeCall();
    a.set(call, 1);
    assert.deepEqual([a.get(call), b.get(call)], [1, undefined]);
    a.delete(call);
    assert.equal(a.get(call), undefined);
  });

  it('reads the highest of the published loads, and 0 of none', () => {
    const signals = createLoadSignals();
    assert.equal(signals.read('x'), 0);
    const stop = signals.publish('x', () => 0.7);
    signals.publish('x', () => 0.2);
    assert.equal(signals.read('x'), 0.7);
    stop();
    assert.equal(signals.read('x'), 0.2);
  });

  it('bounds a table of states: the key used longest ago makes room, one in use only when all are', () => {
    const lost: string[] = [];
    const busy = new Set<string>();
    const table = createKeyedTable({
      maxKeys: 3,
      create: (key) => ({ key }),
      isDisposable: ({ key }) => !busy.has(key),
      onEvict: ({ key }) => void lost.push(key),
    });
    for (const key of ['a', 'b', 'c', 'a']) table.get(key);
    table.get('d');
    assert.deepEqual(lost, ['b']);
    busy.add('c');
    table.get('e');
    assert.deepEqual(lost, ['b', 'a']);
    for (const key of ['d', 'e']) busy.add(key);
    table.get('f');
    assert.deepEqual([lost, table.size, table.evicted], [['b', 'a', 'c'], 3, 3]);
    assert.equal(table.peek('c'), undefined);
    assert.deepEqual(
      [...table.values()].map(({ key }) => key),
      ['d', 'e', 'f'],
    );
  });
});
