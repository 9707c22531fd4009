import assert from 'node:assert/strict';
import { contextKey, defineFilter } from '../../plugins/engine/filter.ts';
import { checkFilter } from '../../plugins/engine/load/check-filter.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders, type FilterFolders } from './bed/filter-folders.ts';
import { createInlinePipeline } from './bed/inline-pipeline.ts';
import { runCall } from './bed/run-call.ts';
import { answerOf, refusedBy, sourceOf } from './bed/staged.ts';

const base = { version: '1.0.0', order: 0, category: 'context', type: 'inbound' } as const;
const user = contextKey<{ name: string }>('user');
const count = contextKey<number>('count');

/** Folders whose filters share a key from one module; `b` requires what `a` provides. */
async function createPair(): Promise<FilterFolders & { readonly head: string }> {
  const folders = await createFilterFolders();
  const contract = new URL('../../plugins/engine/filter.ts', import.meta.url).href;
  await folders.file('keys.ts', `import { contextKey } from '${contract}';\nexport const user = contextKey('user');`);
  const head = `import { user } from '${folders.path}/keys.ts';`;
  await folders.filter('a', provider, head);
  await folders.filter('b', consumer, head);
  return { ...folders, head };
}

const provider = "provides: [user], run: (call, ctx) => ctx.write(call, user, 'ann'),";
const consumer = 'order: 1, requires: [user], run: (call, ctx) => ({ messages: [ctx.read(call, user)] }),';
const missing = /test\.b requires the key "user", which no enabled filter before it provides/;

describe('declared context keys', () => {
  it('are read and written with their types, and no others', async () => {
    const filters = [
      defineFilter({
        ...base,
        id: 'test.provides',
        type: 'inbound',
        provides: [user],
        run: (call, ctx) => {
          ctx.write(call, user, { name: 'ann' });
          // @ts-expect-error another type
          assert.throws(() => ctx.write(call, count, 1), /test\.provides does not provide the key "count"/);
          // @ts-expect-error it requires none
          assert.throws(() => ctx.read(call, user), /test\.provides does not require the key "user"/);
        },
      }),
      defineFilter({
        ...base,
        id: 'test.requires',
        type: 'inbound',
        order: 1,
        requires: [user],
        run: (call, ctx) => {
          const name: string = ctx.read(call, user).name;
          return { messages: [name] };
        },
      }),
    ];
    const pipeline = await createInlinePipeline(filters);
    assert.deepEqual((await runCall(pipeline, createFakeCall())).responses, ['ann']);
    const alone = await createInlinePipeline(filters.slice(1));
    const { error } = await runCall(alone, createFakeCall());
    assert.equal(error?.reason, 'FILTER_FAILED');
    assert.match(String(error?.cause), /nobody set the key "user" in this call, which test\.requires requires/);
  });

  it('must be keys, and are not for filters in a worker', () => {
    const faultsOf = (fields: object) => {
      try {
        checkFilter({ ...base, id: 'test.checked', run: () => {}, ...fields }, 'x');
      } catch (error) {
        assert.ok(error instanceof AppError);
        return error.fields.map(({ field }) => field);
      }
      return [];
    };
    assert.deepEqual(faultsOf({ provides: [user], requires: [count] }), []);
    assert.deepEqual(faultsOf({ provides: ['user'] }), ['provides[0]']);
    assert.deepEqual(faultsOf({ requires: user }), ['requires']);
    assert.deepEqual(faultsOf({ requires: [user], isolation: 'worker' }), ['requires']);
  });

  it('that nobody provides earlier refuse the set, at the start and in a reload that takes the provider away', async () => {
    await using folders = await createPair();
    const engine = await folders.engine();
    assert.equal(await answerOf(engine), 'ann');
    for (const change of [
      () => folders.remove('a'),
      () => folders.filter('a', provider.replace('provides: [user],', 'provides: [],'), folders.head),
      () => folders.filter('a', `order: 2, ${provider}`, folders.head),
      () => folders.filter('a', `isEnabled: () => false, ${provider}`, folders.head),
      () =>
        folders.filter(
          'a',
          provider,
          "import { contextKey } from 'showrunner/filter'; const user = contextKey('user');",
        ),
    ]) {
      await change();
      const { result, error } = await engine.reload();
      assert.deepEqual([result, error?.reason], ['failed', 'FILTER_KEYS_INVALID']);
      assert.match(error?.message ?? '', missing);
      assert.equal(await answerOf(engine), 'ann', 'the old set serves on');
      await rejectsWith(folders.engine(), Code.FAILED_PRECONDITION, 'FILTER_KEYS_INVALID');
      await folders.filter('a', provider, folders.head);
    }
    await folders.remove('a');
    await folders.remove('b');
    await folders.filter('c', 'run: () => {},');
    assert.equal((await engine.reload()).result, 'ok', 'both may go at once');
  });

  it('keep their provider from being switched off or replaced while somebody requires them', async () => {
    await using folders = await createPair();
    const engine = await folders.engine();
    await refusedBy('keys', engine.admin.setDisabled('test.a', true), missing);
    const next = sourceOf('a', '2.0.0', 'run: () => {},');
    await refusedBy('keys', engine.admin.stage([{ ...next, signature: undefined, config: undefined }]), missing);
    await engine.admin.setDisabled('test.b', true);
    await engine.admin.setDisabled('test.a', true);
    await refusedBy('keys', engine.admin.setDisabled('test.b', false), missing);
    await engine.admin.setDisabled('test.a', false);
    await engine.admin.setDisabled('test.b', false);
    assert.equal(await answerOf(engine), 'ann');
  });
});
