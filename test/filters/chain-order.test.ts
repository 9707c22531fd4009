import assert from 'node:assert/strict';
import { type FilterType, filterTypes } from '../../plugins/engine/filter.ts';
import { createSeededRandom, type Random } from '../../server/core/random.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { type AnyFilter, createInlinePipeline } from './bed/inline-pipeline.ts';
import { runCall } from './bed/run-call.ts';

function pick<T>(random: Random, items: readonly T[]): T {
  return items[Math.floor(random.next() * items.length)] as T;
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, key: random.next() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

function tracing(id: string, type: FilterType, order: number, ran: string[], isAsync: boolean): AnyFilter {
  const note = () => void ran.push(id);
  const run = isAsync ? async () => note() : note;
  return { id, version: '1.0.0', type, order, category: 'context', run };
}

describe('order of filters', () => {
  it('is type, then order, then id, whatever order they were loaded in (300 random sets)', async () => {
    const random = createSeededRandom(42);
    for (let round = 0; round < 300; round++) {
      const ran: string[] = [];
      const orders = [-1, 0, 0, 0, 2.5];
      const filters = Array.from({ length: 1 + Math.floor(random.next() * 12) }, (_, index) =>
        tracing(
          `test.f${index}`,
          pick(random, ['inbound', 'endpoint', 'outbound'] as const),
          pick(random, orders),
          ran,
          random.next() < 0.3,
        ),
      );
      const expected = filters
        .toSorted((a, b) => a.order - b.order || (a.id < b.id ? -1 : 1))
        .toSorted((a, b) => filterTypes.indexOf(a.type) - filterTypes.indexOf(b.type))
        .map(({ id }) => id);
      const pipeline = await createInlinePipeline(shuffled(random, filters));
      const call = createFakeCall();
      await runCall(pipeline, call);
      assert.deepEqual(ran, expected, `round ${round}`);
      assert.deepEqual(
        pipeline.explain(call.id).filters.map(({ id }) => id),
        expected,
      );
    }
  });

  it('runs message hooks in the same order, each replacing what the one before gave', async () => {
    const adding = (id: string, order: number): AnyFilter => ({
      ...{ id, version: '1.0.0', type: 'inbound', order, category: 'context' },
      onRequestMessage: (message) => `${message}>${id}`,
      onResponseMessage: async (message) => `${message}<${id}`,
    });
    const pipeline = await createInlinePipeline([adding('test.b', 1), adding('test.c', 0), adding('test.a', 1)]);
    const result = await runCall(pipeline, createFakeCall());
    assert.deepEqual(result.endpointSaw, ['request>test.c>test.a>test.b']);
    assert.deepEqual(result.responses, ['request>test.c>test.a>test.b<test.c<test.a<test.b']);
  });

  it('gives a call without any matching filter no session', async () => {
    const ran: string[] = [];
    const filter = { ...tracing('test.a', 'inbound', 0, ran, false), match: { services: ['other.*'] } };
    const pipeline = await createInlinePipeline([filter]);
    assert.equal(pipeline.open(createFakeCall()), undefined);
  });

  it('gives a session only the hooks that its filters have', async () => {
    const pipeline = await createInlinePipeline([tracing('test.a', 'outbound', 0, [], false)]);
    const session = pipeline.open(createFakeCall());
    const hooks = ['inbound', 'requestMessage', 'responseMessage', 'outbound', 'error', 'end'] as const;
    assert.deepEqual(
      hooks.filter((hook) => session?.[hook] !== undefined),
      ['outbound', 'end'],
    );
  });

  it('makes no promise when every filter answers synchronously', async () => {
    const message: AnyFilter = {
      ...{ id: 'test.m', version: '1.0.0', type: 'inbound', order: 9, category: 'context' },
      onRequestMessage: (text) => `${text}!`,
    };
    const ran: string[] = [];
    const types = ['inbound', 'endpoint', 'outbound'] as const;
    const pipeline = await createInlinePipeline([
      message,
      ...types.map((type) => tracing(`test.${type}`, type, 0, ran, false)),
    ]);
    const session = pipeline.open(createFakeCall());
    assert.equal(session?.inbound?.(), undefined);
    assert.equal(session?.requestMessage?.('a'), 'a!');
    assert.equal(session?.outbound?.(), undefined);
    assert.deepEqual(ran, ['test.inbound', 'test.endpoint', 'test.outbound']);
  });
});
