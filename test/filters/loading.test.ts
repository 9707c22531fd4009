import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders, type FilterFolders } from './bed/filter-folders.ts';
import { runCall } from './bed/run-call.ts';

const answer = "run: () => ({ messages: ['answer'] }),";

/** What a bad folder does to a start: the reason, and texts that the message must hold. */
async function refuses(
  write: (folders: FilterFolders) => Promise<void>,
  code: Code,
  reason: string,
  ...texts: string[]
): Promise<void> {
  await using folders = await createFilterFolders();
  await folders.filter('good', answer);
  await write(folders);
  const error = await rejectsWith(folders.engine(), code, reason);
  for (const text of texts) assert.ok(error.message.includes(text), `"${text}" in: ${error.message}`);
}

const refusesLoad = (write: (folders: FilterFolders) => Promise<void>, ...texts: string[]) =>
  refuses(write, Code.FAILED_PRECONDITION, 'FILTER_LOAD_FAILED', ...texts);
const refusesShape = (fields: string, ...texts: string[]) =>
  refuses(
    (folders) => folders.filter('bad', fields),
    Code.FAILED_PRECONDITION,
    'FILTER_INVALID',
    'bad/filter.ts',
    ...texts,
  );

describe('loading of filters', () => {
  it('loads TypeScript and JavaScript folders from several places, and lists them', async () => {
    await using folders = await createFilterFolders();
    await using more = await createFilterFolders();
    await folders.filter('a', answer);
    await more.file(
      'plain/filter.js',
      `import { defineFilter } from 'showrunner/filter';
export const filter = defineFilter({ id: 'test.plain', version: '2.0.0-rc.1', type: 'outbound', order: 5,
  category: 'observability', failurePolicy: 'open', timeoutMs: 7, run: () => {} });`,
    );
    await more.file('_shared/notes.txt', 'ignored');
    const engine = await folders.engine({ dirs: [folders.path, more.path] });
    const { version, filters } = engine.snapshot();
    assert.equal(version, 1);
    assert.deepEqual(
      filters.map(({ id, version: of, type, order, failurePolicy, timeoutMs }) =>
        [id, of, type, order, failurePolicy, timeoutMs].join(' '),
      ),
      ['test.a 1.0.0 inbound 0 closed 5000', 'test.plain 2.0.0-rc.1 outbound 5 open 7'],
    );
    assert.equal(filters[0]?.file, join(folders.path, 'a/filter.ts'));
    assert.match(filters[0]?.hash ?? '', /^[0-9a-f]{64}$/);
    assert.deepEqual((await runCall(engine, createFakeCall())).responses, ['answer']);
  });

  it('refuses a start with a syntax error, a throw at import or a missing module, naming the file', async () => {
    await refusesLoad((folders) => folders.file('bad/filter.ts', 'export const filter = {{{'), 'bad/filter.ts');
    await refusesLoad(
      (folders) => folders.file('bad/filter.ts', "throw new Error('at import');"),
      'bad/filter.ts',
      'at import',
    );
    await refusesLoad((folders) => folders.file('bad/filter.ts', "import './nowhere.ts';"), 'bad/filter.ts', 'nowhere');
  });

  it('refuses a module that exports no filter', async () => {
    const write = (source: string) => (folders: FilterFolders) => folders.file('bad/filter.ts', source);
    for (const source of ['export default {};', 'export const filter = 1;', 'export const Filter = {};']) {
      await refuses(write(source), Code.FAILED_PRECONDITION, 'FILTER_INVALID', 'bad/filter.ts', 'export const filter');
    }
  });

  it('names every faulty field of a filter', async () => {
    await refusesShape("id: 'NoNamespace', run: () => {},", 'id: expected namespace.name');
    await refusesShape("version: 'one', run: () => {},", 'version: expected major.minor.patch');
    await refusesShape("type: 'inbund' as 'inbound', order: NaN, run: () => {},", 'type: expected one of', 'order:');
    await refusesShape("category: 'misc' as 'context', run: () => {},", 'category: expected one of');
    await refusesShape('', 'run: expected one of run, onRequestMessage');
    await refusesShape("run: 'text' as never,", 'run: expected a function');
    await refusesShape('run: () => {}, runn: 1 as never,', 'runn: no such field');
    await refusesShape('run: () => {}, timeoutMs: 0, maxConcurrent: 1.5,', 'timeoutMs:', 'maxConcurrent:');
    await refusesShape(
      "run: () => {}, failurePolicy: 'ajar' as 'open',",
      'failurePolicy: expected one of closed, open',
    );
    await refusesShape('run: () => {}, match: { percent: 101 },', 'match.percent: expected a number from 0 to 100');
    await refusesShape("run: () => {}, match: { method: ['x'] } as never,", 'match.method: no such field');
    await refusesShape('run: () => {}, match: { metadata: { Tier: true } },', 'match.metadata.Tier');
    await refusesShape('run: () => {}, config: {} as never,', 'config: expected a schema');
  });

  it('refuses a folder without a filter file, and one with two', async () => {
    await refusesLoad((folders) => folders.file('typo/fitler.ts', ''), 'typo', 'holds no filter.ts');
    await refusesLoad(async (folders) => {
      await folders.file('twice/filter.ts', '');
      await folders.file('twice/filter.js', '');
    }, 'holds both filter.ts and filter.js');
  });

  it('refuses a folder of filters that does not exist', async () => {
    await using folders = await createFilterFolders();
    const options = { dirs: [join(folders.path, 'nowhere')] };
    const error = await rejectsWith(folders.engine(options), Code.FAILED_PRECONDITION, 'FILTER_LOAD_FAILED');
    assert.ok(error.message.includes('nowhere'));
  });

  it('refuses two filters with one id, naming both files', async () => {
    await refuses(
      (folders) => folders.filter('good2', "id: 'test.good', run: () => {},"),
      Code.FAILED_PRECONDITION,
      'FILTER_DUPLICATE',
      'good/filter.ts',
      'good2/filter.ts',
    );
  });

  it('refuses a set without a required filter', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', answer);
    const engine = folders.engine({ required: ['test.a', 'test.auth'] });
    await rejectsWith(engine, Code.FAILED_PRECONDITION, 'FILTER_MISSING');
  });

  it('refuses a configuration that names all its faults, without the values', async () => {
    await using folders = await createFilterFolders();
    await folders.filter(
      'a',
      `config: schema.shape({ limit: schema.integer(1, 9), secret: schema.text(8, 9), on: schema.flag() }), ${answer}`,
    );
    const config = { 'test.a': { limit: 10, secret: 'hush', typo: 1 } };
    const error = await rejectsWith(folders.engine({ config }), Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    assert.deepEqual(
      error.fields.map(({ field }) => field),
      ['config.typo', 'config.limit', 'config.secret', 'config.on'],
    );
    assert.ok(!error.message.includes('hush'));
  });

  it('refuses configuration for a filter that takes none, and for one that is not there', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', answer);
    const needless = folders.engine({ config: { 'test.a': {} } });
    await rejectsWith(needless, Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    await rejectsWith(folders.engine({ config: { 'test.b': {} } }), Code.NOT_FOUND, 'FILTER_NOT_FOUND');
  });

  it('hands a frozen configuration and the state from open to the hooks', async () => {
    await using folders = await createFilterFolders();
    await folders.filter(
      'a',
      `config: schema.shape({ names: schema.list(schema.text()), limit: schema.withDefault(schema.integer(1, 9), 3) }),
       open: async (config, { id }) => ({ text: config.names.join('+') + config.limit + id }),
       run: (call, { config, state }) => ({ messages: [state.text + Object.isFrozen(config.names)] }),`,
    );
    const engine = await folders.engine({ config: { 'test.a': { names: ['x', 'y'] } } });
    assert.deepEqual((await runCall(engine, createFakeCall())).responses, ['x+y3test.atrue']);
  });

  it('refuses a start when open rejects, and closes the filters that it had opened', async () => {
    await using folders = await createFilterFolders();
    const closed: string[] = [];
    Object.assign(globalThis, { closedByTest: closed });
    await folders.filter('a', `open: () => 'state', close: (state) => globalThis.closedByTest.push(state), ${answer}`);
    await folders.filter('b', `open: async () => { throw new Error('no database'); }, ${answer}`);
    const error = await rejectsWith(folders.engine(), Code.FAILED_PRECONDITION, 'FILTER_LOAD_FAILED');
    assert.match(error.message, /b\/filter\.ts: open failed: no database/);
    assert.deepEqual(closed, ['state']);
  });

  it('refuses a start when open takes too long, aborts its signal, and closes a state that comes late', async () => {
    await using folders = await createFilterFolders();
    const events: string[] = [];
    const late = Promise.withResolvers<string>();
    Object.assign(globalThis, { lateByTest: { events, promise: late.promise } });
    await folders.filter(
      'a',
      `open: (config, { signal }) => {
         signal.addEventListener('abort', () => globalThis.lateByTest.events.push('aborted'));
         globalThis.lateByTest.events.push('opening');
         return globalThis.lateByTest.promise;
       },
       close: (state) => globalThis.lateByTest.events.push('closed ' + state), ${answer}`,
    );
    const clock = createFakeClock();
    const engine = rejectsWith(
      folders.engine({ clock, openTimeoutMs: 50 }),
      Code.FAILED_PRECONDITION,
      'FILTER_LOAD_FAILED',
    );
    await waitUntil('open runs', () => events.includes('opening'));
    await clock.advance(50);
    assert.match((await engine).message, /open took over 50 ms/);
    late.resolve('late');
    await waitUntil('the late state is closed', () => events.includes('closed late'));
    assert.deepEqual(events, ['opening', 'aborted', 'closed late']);
  });

  it('reads a folder again that changes while it is loaded, and refuses one that never rests', async () => {
    await using folders = await createFilterFolders();
    const touch = (times: number) => `import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
const log = join(import.meta.dirname, 'log.txt');
if (readFileSync(log, 'utf8').length < ${times}) appendFileSync(log, 'x');`;
    await folders.file('a/log.txt', '');
    await folders.filter('a', answer, touch(1));
    const engine = await folders.engine();
    assert.deepEqual((await runCall(engine, createFakeCall())).responses, ['answer']);
    assert.equal((await engine.reload()).result, 'unchanged');
    await folders.filter('a', answer, touch(99));
    assert.match((await engine.reload()).error?.message ?? '', /keeps changing while it is loaded/);
  });

  it('refuses a start when the import never settles', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', answer, 'globalThis.importsByTest = true; await new Promise(() => {});');
    const clock = createFakeClock();
    const engine = rejectsWith(
      folders.engine({ clock, openTimeoutMs: 50 }),
      Code.FAILED_PRECONDITION,
      'FILTER_LOAD_FAILED',
    );
    await waitUntil('the import runs', () => 'importsByTest' in globalThis);
    await clock.advance(50);
    assert.match((await engine).message, /import took over 50 ms/);
  });
});
