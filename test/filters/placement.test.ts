import assert from 'node:assert/strict';
import type { FilterType } from '../../plugins/engine/filter.ts';
import { callPriority } from '../../plugins/engine/filter.ts';
import { inRunningOrder, orderFaults, type Placed } from '../../plugins/engine/set/running-order.ts';
import type { Call } from '../../server/core/call.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { type AnyFilter, createInlinePipeline } from './bed/inline-pipeline.ts';
import { runCall } from './bed/run-call.ts';

const place = (id: string, order: number, wishes: Partial<Placed> = {}): Placed => ({
  id,
  order,
  type: 'inbound',
  ...wishes,
});
const idsOf = (filters: readonly Placed[]) => inRunningOrder(filters).map(({ id }) => id);

describe('the wishes of filters about their place', () => {
  it('win over orders, and leave all else in the order it had', () => {
    const [a, b, c] = [place('t.a', 1), place('t.b', 2), place('t.c', 3)];
    assert.deepEqual(idsOf([c, { ...a, after: ['t.b'] }, b]), ['t.b', 't.a', 't.c']);
    assert.deepEqual(idsOf([a, b, { ...c, before: ['t.a'] }]), ['t.b', 't.c', 't.a']);
    assert.deepEqual(idsOf([a, { ...b, after: ['t.c'] }, c]), ['t.a', 't.c', 't.b']);
  });

  it('are met in 2,000 random sets, and orders and ids hold where there are none', () => {
    const random = createSeededRandom(7);
    const types: readonly FilterType[] = ['inbound', 'endpoint'];
    for (let round = 0; round < 2000; round++) {
      const count = 2 + Math.floor(random.next() * 7);
      const hidden = Array.from({ length: count }, (_, i) => `t.f${i}`).toSorted(() => random.next() - 0.5);
      // Wishes that follow one hidden order cannot be a circle.
      const filters = hidden.map((id, at) => {
        const pick = (from: readonly string[]) => from.filter(() => random.next() < 0.2);
        return place(id, Math.floor(random.next() * 3), {
          after: pick(hidden.slice(0, at)),
          before: pick(hidden.slice(at + 1)),
          type: types[at < count / 2 ? 0 : 1] ?? 'inbound',
        });
      });
      assert.deepEqual(orderFaults(filters), []);
      const order = inRunningOrder(filters.toSorted(() => random.next() - 0.5));
      const at = new Map(order.map(({ id }, index) => [id, index]));
      const isBefore = (one: string, other: string) => assert.ok((at.get(one) ?? 0) < (at.get(other) ?? 0), `${round}`);
      for (const { id, after = [], before: later = [] } of filters) {
        for (const other of after) isBefore(other, id);
        for (const other of later) isBefore(id, other);
      }
      const free = filters.map(({ id, order: own, type }) => ({ id, order: own, type }));
      const sorted = free.toSorted(
        (a, b) => types.indexOf(a.type) - types.indexOf(b.type) || a.order - b.order || (a.id < b.id ? -1 : 1),
      );
      assert.deepEqual(
        idsOf(free),
        sorted.map(({ id }) => id),
      );
    }
  });

  it('that cannot be met are named: a filter that is not there, one of a later type, a circle', () => {
    assert.match(
      orderFaults([place('t.a', 0, { after: ['t.gone'] })])[0] ?? '',
      /t\.a must run after t\.gone, which is not loaded/,
    );
    assert.match(
      orderFaults([place('t.a', 0, { after: ['t.b'] }), place('t.b', 0, { type: 'outbound' })])[0] ?? '',
      /cannot run after t\.b \(outbound\)/,
    );
    const circle = [
      place('t.a', 0, { after: ['t.c'] }),
      place('t.b', 0, { after: ['t.a'] }),
      place('t.c', 0, { after: ['t.b'] }),
    ];
    assert.match(orderFaults(circle)[0] ?? '', /circle/);
    assert.equal(inRunningOrder(circle).length, 3);
  });

  it('keep a bad set out: at the start, in a reload, and when a version is staged', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', "after: ['test.gone'], run: () => {},");
    await assert.rejects(folders.engine(), { reason: 'FILTER_ORDER_INVALID' });
    await folders.filter('a', 'run: () => {},');
    await folders.filter('b', "after: ['test.a'], run: () => {},");
    const engine = await folders.engine();
    assert.deepEqual(
      engine.snapshot().filters.map(({ id }) => id),
      ['test.a', 'test.b'],
    );
    await folders.filter('a', "after: ['test.b'], run: () => {},");
    const report = await engine.reload();
    assert.deepEqual([report.result, report.error?.reason], ['failed', 'FILTER_ORDER_INVALID']);
    const source = `import { defineFilter } from 'showrunner/filter';
      export const filter = defineFilter({ id: 'test.a', version: '9.0.0', type: 'inbound', order: 0, category: 'context',
        after: ['test.b'], run: () => {} });`;
    await assert.rejects(engine.admin.stage([{ id: 'test.a', source }]), /order: .*circle/);
    await runCall(engine, createFakeCall());
  });
});

const failing = (extra: object): AnyFilter =>
  ({
    ...{ id: 'test.f', version: '1.0.0', type: 'inbound', order: 0, category: 'context' },
    run: () => {
      throw new Error('broken');
    },
    ...extra,
  }) as AnyFilter;

describe('what becomes of a call when a filter fails', () => {
  it('is the code that the author chose, for every kind of failure', async () => {
    for (const extra of [{}, { maxConcurrent: 1, run: () => 5 }]) {
      const pipeline = await createInlinePipeline([failing({ failureCode: 'PERMISSION_DENIED', ...extra })]);
      const { error } = await runCall(pipeline, createFakeCall());
      assert.deepEqual([error?.code, error?.reason], [7, 'FILTER_FAILED']);
    }
  });

  it('is for its onFailure to say under the policy fallback: an answer, nothing, or a refusal', async () => {
    const under = async (onFailure: unknown, extra: object = {}) => {
      const pipeline = await createInlinePipeline([failing({ failurePolicy: 'fallback', onFailure, ...extra })]);
      const { responses, error, endpointSaw } = await runCall(pipeline, createFakeCall());
      return [responses, error?.reason, endpointSaw !== undefined];
    };
    assert.deepEqual(await under(() => ({ messages: ['spare'] })), [['spare'], undefined, false]);
    assert.deepEqual(await under(() => undefined), [['request'], undefined, true]);
    assert.deepEqual(await under(() => 5), [[], 'FILTER_FAILED', false]);
    assert.deepEqual(
      await under(() => {
        throw new TypeError('worse');
      }),
      [[], 'FILTER_FAILED', false],
    );
    const late = { run: () => Promise.reject(new Error('late')) };
    assert.deepEqual(await under(() => ({ messages: ['spare'] }), late), [['spare'], undefined, false]);
  });

  it('needs the policy for the hook, and the hook for the policy', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', 'onFailure: () => undefined, run: () => {},');
    await assert.rejects(folders.engine(), /onFailure: goes with the failure policy fallback/);
    await folders.filter('a', "failurePolicy: 'fallback', run: () => {},");
    await assert.rejects(folders.engine(), /onFailure: goes with the failure policy fallback/);
  });
});

describe('the criterion of priority', () => {
  it('takes calls to which one of the priorities was granted before the filter', async () => {
    const ran: string[] = [];
    const grant: AnyFilter = {
      ...{ id: 'test.grant', version: '1.0.0', type: 'inbound', order: 0, category: 'context' },
      run: (call: Call) => {
        const asked = call.requestMetadata.get('p');
        if (asked === 'BULK' || asked === 'CRITICAL') callPriority.set(call, asked);
      },
    };
    const only: AnyFilter = {
      ...grant,
      id: 'test.only',
      order: 1,
      match: { priorities: ['BULK'] },
      run: (call: Call) => void ran.push(call.id),
    };
    const pipeline = await createInlinePipeline([only, grant]);
    for (const [id, p] of [
      ['a', 'BULK'],
      ['b', 'CRITICAL'],
      ['c', 'none'],
    ] as const) {
      await runCall(pipeline, createFakeCall({ id, metadata: { p } }));
    }
    assert.deepEqual(ran, ['a']);
    assert.match(pipeline.explain('b').line, /test\.only@1\.0\.0:inbound=skipped\(priority\)/);
  });
});
