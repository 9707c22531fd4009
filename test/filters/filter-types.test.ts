import assert from 'node:assert/strict';
import { contextKey, defineFilter, type FilterContext, schema } from '../../plugins/engine/filter.ts';
import { createFakeCall } from './bed/fake-call.ts';

const base = { id: 'test.types', version: '1.0.0', order: 0, category: 'context' } as const;

// The compiler checks most of this file: each `@ts-expect-error` fails the type check when there is no error.
describe('types for authors of filters', () => {
  it('infer configuration from the schema and state from open', () => {
    const filter = defineFilter({
      ...base,
      type: 'inbound',
      config: schema.shape({ limit: schema.integer(1, 9), mode: schema.oneOf('a', 'b') }),
      open: async (config) => ({ half: config.limit / 2 }),
      run: (_call, { config, state }) => {
        const mode: 'a' | 'b' = config.mode;
        const half: number = state.half;
        // @ts-expect-error the schema has no such field
        config.missing;
        // @ts-expect-error the state has no such field
        state.missing;
        // @ts-expect-error a configuration is read-only
        config.limit = half;
        return { messages: [mode] };
      },
    });
    type Ctx =
      NonNullable<typeof filter.run> extends (call: never, ctx: infer C, ...rest: never[]) => unknown ? C : never;
    const context: Ctx extends FilterContext<{ readonly limit: number; readonly mode: 'a' | 'b' }, { half: number }>
      ? true
      : false = true;
    assert.ok(context);
  });

  it('give a filter without schema and open neither', () => {
    defineFilter({
      ...base,
      type: 'outbound',
      run: (_call, { config, state }) => {
        const nothing: undefined = config;
        const none: undefined = state;
        assert.equal(nothing, none);
      },
    });
  });

  it('let only inbound and endpoint filters answer, and hand errors to error filters only', () => {
    defineFilter({ ...base, type: 'endpoint', run: async () => ({ messages: [1] }) });
    // @ts-expect-error an inbound filter answers with messages
    defineFilter({ ...base, type: 'inbound', run: () => ({ message: 1 }) });
    // @ts-expect-error an error filter gives an AppError
    defineFilter({ ...base, type: 'error', run: () => ({ messages: [1] }) });
    defineFilter({ ...base, type: 'error', run: (_call, _ctx, error) => void error.reason });
  });

  it('refuse unknown types, categories and fields', () => {
    // @ts-expect-error no such type
    defineFilter({ ...base, type: 'sideways', run: () => {} });
    // @ts-expect-error no such category
    defineFilter({ ...base, category: 'misc', type: 'inbound', run: () => {} });
    // @ts-expect-error no such policy
    defineFilter({ ...base, type: 'inbound', failurePolicy: 'ajar', run: () => {} });
    // @ts-expect-error shouldRun is synchronous
    defineFilter({ ...base, type: 'inbound', shouldRun: async () => true, run: () => {} });
    // @ts-expect-error no such criterion
    defineFilter({ ...base, type: 'inbound', match: { path: ['x'] }, run: () => {} });
  });
});

describe('context keys', () => {
  it('hold a typed value per call that only their holder can reach', () => {
    const key = contextKey<{ count: number }>('test.counter');
    const namesake = contextKey<string>('test.counter');
    const call = createFakeCall();
    assert.equal(key.get(call), undefined);
    key.set(call, { count: 1 });
    assert.equal(key.get(call)?.count, 1);
    assert.equal(namesake.get(call), undefined);
    assert.equal(key.get(createFakeCall()), undefined);
    // @ts-expect-error another type
    key.set(call, 'text');
    key.delete(call);
    assert.equal(call.attributes.size, 0);
  });
});
