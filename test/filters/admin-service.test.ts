import assert from 'node:assert/strict';
import { FilterAdminService } from '../../proto/gen/showrunner/filters/v1/filter_admin_service_pb.ts';
import { FilterRun_Status, FilterStage, FilterType } from '../../proto/gen/showrunner/filters/v1/filter_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { createFilterAdminService } from '../../server/filters/service.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import { EchoService } from '../rpc/fixtures/echo.ts';
import { startEcho } from '../rpc/fixtures/echo-server.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { startServices } from '../support/start-services.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFilterFolders, type FilterFolders } from './bed/filter-folders.ts';
import { sourceOf } from './bed/staged.ts';

const secretive = `config: schema.shape({
    name: schema.withDefault(schema.text(), 'none'),
    keys: schema.withDefault(schema.list(schema.shape({ id: schema.text(), secret: schema.secret(schema.text()) })), []),
  }),`;

/** A server with the admin service on an engine, another with an echo service behind its filters, and their clients. */
async function startAdmin(folders: FilterFolders, options: Parameters<FilterFolders['engine']>[0] = {}) {
  const engine = await folders.engine(options);
  const server = await startServices(createFilterAdminService(engine.admin, () => [EchoService], 2));
  const admin = createRpcClient(FilterAdminService, { address: server.address });
  const echo = await startEcho({}, { pipeline: engine });
  return {
    engine,
    admin,
    echo: echo.client,
    [Symbol.asyncDispose]: async () => {
      engine.admin.endWatches();
      admin.close();
      await echo[Symbol.asyncDispose]();
      await server.close();
    },
  };
}

describe('FilterAdminService', () => {
  it('takes filters from the source to all calls and back', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', "onRequestMessage: (m) => ({ ...m, text: m.text + ' a1' }),");
    await using bed = await startAdmin(folders);
    const { admin, echo } = bed;
    const said = async () => (await echo.echo({ text: 'hi' })).text;
    assert.equal(await said(), 'hi a1');
    const { group, filters } = await admin.stageFilters({
      sources: [sourceOf('a', '2.0.0', "onRequestMessage: (m) => ({ ...m, text: m.text + ' a2' }),")],
    });
    assert.deepEqual([filters[0]?.name, filters[0]?.stage], ['filters/test.a/versions/2.0.0', FilterStage.STAGED]);
    assert.match(filters[0]?.sourceSha256 ?? '', /^[0-9a-f]{64}$/);
    const canary = await admin.promoteFilters({ group, stage: FilterStage.CANARY, share: 0.5 });
    assert.deepEqual([canary.filters[0]?.stage, canary.filters[0]?.share], [FilterStage.CANARY, 0.5]);
    const texts = new Set<string>();
    for (let i = 0; i < 40; i++) texts.add(await said());
    assert.deepEqual([...texts].toSorted(), ['hi a1', 'hi a2']);
    const active = await admin.promoteFilters({ group, stage: FilterStage.ACTIVE });
    assert.equal(active.snapshot, canary.snapshot + 1n);
    assert.equal(await said(), 'hi a2');
    const back = await admin.rollbackFilters({ group, reason: 'not good' });
    assert.deepEqual(
      back.filters.map(({ name, stage }) => [name, stage]),
      [['filters/test.a/versions/1.0.0', FilterStage.ACTIVE]],
    );
    assert.equal(await said(), 'hi a1');
    const past = await admin.listFilters({ includePast: true });
    assert.deepEqual(
      past.filters.map(({ name, stage, explanation }) => [name, stage, explanation]),
      [
        ['filters/test.a/versions/1.0.0', FilterStage.ACTIVE, 'from its folder'],
        ['filters/test.a/versions/2.0.0', FilterStage.ROLLED_BACK, 'not good'],
      ],
    );
  });

  it('counts and times what each version did', async () => {
    await using folders = await createFilterFolders();
    await folders.filter(
      'a',
      "match: { metadata: { skip: false } }, run: (call) => { if (call.requestMetadata.get('x')) throw new AppError({ code: Code.ABORTED, reason: 'X', message: 'x' }); },",
      "import { AppError, Code } from 'showrunner/filter';",
    );
    await folders.filter(
      'b',
      "order: 2, failurePolicy: 'open', match: { methods: ['Echo'] }, run: () => { throw new Error('x'); },",
    );
    await using bed = await startAdmin(folders);
    for (let i = 0; i < 6; i++) await bed.echo.echo({ text: '' });
    await bed.echo.echo({ text: '' }, { metadata: { skip: '1' } });
    await rejectsWith(bed.echo.echo({ text: '' }, { metadata: { x: '1' } }), Code.ABORTED, 'X');
    const { filter } = await bed.admin.getFilter({ name: 'filters/test.a' });
    const { stats } = filter ?? {};
    assert.deepEqual(
      [stats?.ran, stats?.skipped, stats?.shortCircuited, stats?.failed, stats?.callsInFlight],
      [6n, 1n, 1n, 0n, 0n],
    );
    assert.ok((stats?.p50?.nanos ?? 0) > 0 && (stats?.p99?.nanos ?? 0) >= (stats?.p50?.nanos ?? 0));
    assert.deepEqual(
      [filter?.type, filter?.order, filter?.category, filter?.timeout?.seconds],
      [FilterType.INBOUND, 0, 'context', 5n],
    );
    const b = await bed.admin.getFilter({ name: 'filters/test.b/versions/1.0.0' });
    assert.equal(b.filter?.stats?.failed, 7n);
  });

  it('lists the chain that a path would meet', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('echo', "match: { methods: ['Echo'] }, run: () => {},");
    await folders.filter('streams', "match: { kinds: ['bidi_stream'] }, run: () => {},");
    await folders.filter('unknown', 'match: { known: false }, run: () => {},');
    await folders.filter('off', 'order: -1, run: () => {},');
    await using bed = await startAdmin(folders);
    await bed.admin.setFilterDisabled({ name: 'filters/test.off', disabled: true });
    const met = async (path: string) =>
      (await bed.admin.listFilters({ path })).filters.map(({ name }) => name.split('/')[1]);
    const service = EchoService.typeName;
    assert.deepEqual(await met(`/${service}/Echo`), ['test.echo']);
    assert.deepEqual(await met(`/${service}/Chat`), ['test.streams']);
    assert.deepEqual(await met('/other.Service/Any'), ['test.streams', 'test.unknown']);
  });

  it('switches filters, and never the ones that the server needs', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', "onRequestMessage: (m) => ({ ...m, text: 'a' }),");
    await folders.filter('guard', 'run: () => {},');
    await using bed = await startAdmin(folders, { required: ['test.guard'] });
    const off = await bed.admin.setFilterDisabled({ name: 'filters/test.a', disabled: true });
    assert.deepEqual(
      [off.filter?.stage, off.filter?.explanation],
      [FilterStage.DISABLED, 'switched off by an operator'],
    );
    assert.equal((await bed.echo.echo({ text: 'x' })).text, 'x');
    const on = await bed.admin.setFilterDisabled({ name: 'filters/test.a', disabled: false });
    assert.equal(on.filter?.stage, FilterStage.ACTIVE);
    const refused = bed.admin.setFilterDisabled({ name: 'filters/test.guard', disabled: true });
    await rejectsWith(refused, Code.FAILED_PRECONDITION, 'FILTER_REFUSED');
  });

  it('configures filters by their schema, and never shows a secret', async () => {
    await using folders = await createFilterFolders();
    await folders.filter(
      'a',
      `${secretive} onRequestMessage: (m, call, { config }) => ({ ...m, text: config.name + config.keys.length }),`,
    );
    await using bed = await startAdmin(folders, {
      config: { 'test.a': { name: 'first', keys: [{ id: 'k', secret: 'hush' }] } },
    });
    const name = 'filters/test.a';
    assert.equal((await bed.echo.echo({ text: '' })).text, 'first1');
    assert.deepEqual((await bed.admin.getFilter({ name })).filter?.config, { name: 'first', keys: [{ id: 'k' }] });
    const error = await rejectsWith(
      bed.admin.setFilterConfig({ name, config: { name: 7, keys: [{ id: 'k', secret: 9, more: 1 }] } }),
      Code.INVALID_ARGUMENT,
      'FILTER_CONFIG_INVALID',
    );
    assert.deepEqual(
      error.fields.map(({ field }) => field),
      ['config.name', 'config.keys[0].more', 'config.keys[0].secret'],
    );
    assert.equal((await bed.echo.echo({ text: '' })).text, 'first1');
    const set = await bed.admin.setFilterConfig({
      name,
      config: {
        name: 'second',
        keys: [
          { id: 'a', secret: 's' },
          { id: 'b', secret: 't' },
        ],
      },
    });
    assert.deepEqual(set.filter?.config, { name: 'second', keys: [{ id: 'a' }, { id: 'b' }] });
    assert.equal((await bed.echo.echo({ text: '' })).text, 'second2');
    await bed.admin.setFilterConfig({ name });
    assert.equal((await bed.echo.echo({ text: '' })).text, 'first1');
    for (const text of [JSON.stringify(bed.engine.admin.list()), error.message]) assert.doesNotMatch(text, /hush/);
  });

  it('explains a call: which filters ran, in what order, why not, and how long', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('id', "order: -1, run: (call) => { call.id = 'the-call'; },");
    await folders.filter('a', 'run: async () => {},');
    await folders.filter('b', 'order: 1, match: { metadata: { never: true } }, run: () => {},');
    await folders.filter(
      'c',
      "order: 2, run: () => { throw new AppError({ code: Code.ABORTED, reason: 'STOP', message: 'stop' }); },",
      "import { AppError, Code } from 'showrunner/filter';",
    );
    await using bed = await startAdmin(folders);
    await rejectsWith(bed.echo.echo({ text: '' }), Code.ABORTED, 'STOP');
    const call = await bed.admin.explainCall({ callId: 'the-call' });
    assert.deepEqual([call.path, call.code, call.snapshot], [`/${EchoService.typeName}/Echo`, Code.ABORTED, 1n]);
    assert.deepEqual(
      call.runs.map(({ filter, status, detail }) => [filter.split('/')[1], status, detail]),
      [
        ['test.id', FilterRun_Status.RAN, ''],
        ['test.a', FilterRun_Status.RAN, ''],
        ['test.b', FilterRun_Status.SKIPPED, 'metadata'],
        ['test.c', FilterRun_Status.SHORT_CIRCUITED, 'refused'],
      ],
    );
    const [{ wait: none } = {}, { duration, wait } = {}] = call.runs;
    assert.equal(none, undefined, 'a filter that is synchronous does not wait');
    assert.ok(wait !== undefined && wait.nanos > 0 && wait.nanos <= (duration?.nanos ?? 0), `${wait?.nanos}`);
    const startMs = Number(call.startTime?.seconds ?? 0n) * 1000;
    assert.ok(Math.abs(Date.now() - startMs) < 60_000);
    await rejectsWith(bed.admin.explainCall({ callId: 'other' }), Code.NOT_FOUND, 'CALL_NOT_KEPT');
  });

  it('tells watchers the state, then every change, and ends their streams with the server', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', 'run: () => {},');
    await folders.filter('b', 'order: 1, run: () => {},');
    await using bed = await startAdmin(folders);
    const seen: string[] = [];
    const watching = (async () => {
      for await (const { filter } of bed.admin.watchFilters({ name: 'filters/test.a' })) {
        seen.push(`${filter?.name.split('/').at(-1)} ${filter?.stage}`);
      }
    })();
    await waitUntil('the state is told', () => seen.length === 1);
    await bed.admin.setFilterDisabled({ name: 'filters/test.b', disabled: true });
    const { group } = await bed.admin.stageFilters({ sources: [sourceOf('a', '2.0.0', 'run: () => {},')] });
    await waitUntil('the staging is told', () => seen.length === 2);
    await bed.admin.promoteFilters({ group, stage: FilterStage.SHADOW, share: 1 });
    await waitUntil('the shadow is told', () => seen.length === 3);
    await bed.admin.promoteFilters({ group, stage: FilterStage.ACTIVE });
    await waitUntil('the promotion is told', () => seen.length === 5);
    await bed.admin.rollbackFilters({ group });
    await waitUntil('the rollback is told', () => seen.length === 7);
    const { STAGED, SHADOW, ACTIVE, ROLLED_BACK } = FilterStage;
    assert.deepEqual(seen.slice(0, 3), [`1.0.0 ${ACTIVE}`, `2.0.0 ${STAGED}`, `2.0.0 ${SHADOW}`]);
    assert.deepEqual(seen.slice(3, 5).toSorted(), [`1.0.0 ${STAGED}`, `2.0.0 ${ACTIVE}`].toSorted());
    assert.deepEqual(seen.slice(5).toSorted(), [`1.0.0 ${ACTIVE}`, `2.0.0 ${ROLLED_BACK}`].toSorted());
    bed.engine.admin.endWatches();
    await watching;
  });

  it('refuses watchers beyond the bound, and takes the next when one has left', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', 'run: () => {},');
    await using bed = await startAdmin(folders);
    const leave = new AbortController();
    const watch = (signal?: AbortSignal) => bed.admin.watchFilters({}, { ...(signal && { signal }) }).next();
    await Promise.all([watch(leave.signal), watch()]);
    await rejectsWith(watch(), Code.RESOURCE_EXHAUSTED, 'TOO_MANY_WATCHERS');
    leave.abort();
    await waitUntil('the place is free', () =>
      watch().then(
        () => true,
        () => false,
      ),
    );
    bed.engine.admin.endWatches();
  });

  it('refuses what is not well-formed, field by field', async () => {
    await using folders = await createFilterFolders();
    await using bed = await startAdmin(folders);
    const { admin } = bed;
    const source = sourceOf('a', '1.0.0', 'run: () => {},');
    const group = '0'.repeat(22);
    const cases: [Promise<unknown>, string[]][] = [
      [admin.getFilter({ name: 'nope' }), ['name']],
      [admin.getFilter({ name: 'filters/NoDots' }), ['name']],
      [admin.listFilters({ path: 'no-slash' }), ['path']],
      [admin.stageFilters({ sources: [] }), ['sources']],
      [admin.stageFilters({ sources: Array(51).fill(source) }), ['sources']],
      [
        admin.stageFilters({ sources: [{ id: 'X', source: '', signature: new Uint8Array(3) }] }),
        ['sources[0].id', 'sources[0].source', 'sources[0].signature'],
      ],
      [admin.promoteFilters({ group: 'x', stage: FilterStage.ACTIVE }), ['group']],
      [admin.promoteFilters({ group }), ['stage']],
      [admin.promoteFilters({ group, stage: FilterStage.ROLLED_BACK }), ['stage']],
      [admin.promoteFilters({ group, stage: FilterStage.CANARY }), ['share']],
      [admin.promoteFilters({ group, stage: FilterStage.CANARY, share: Number.NaN }), ['share']],
      [
        admin.promoteFilters({ group, stage: FilterStage.SHADOW, share: 1.5, principals: ['a'] }),
        ['share', 'principals'],
      ],
      [admin.promoteFilters({ group, stage: FilterStage.ACTIVE, share: 0.5 }), ['share']],
      [admin.promoteFilters({ group, stage: FilterStage.CANARY, share: 0.5, principals: [''] }), ['principals']],
      [admin.rollbackFilters({ group, reason: 'x'.repeat(501) }), ['reason']],
      [admin.setFilterDisabled({ name: 'filters/test.a/versions/1' }), ['name']],
      [admin.setFilterConfig({ name: '' }), ['name']],
      [admin.explainCall({}), ['call_id']],
    ];
    for (const [answer, fields] of cases) {
      const error = await rejectsWith(answer, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.deepEqual(
        error.fields.map(({ field }) => field),
        fields,
      );
    }
    await rejectsWith(admin.promoteFilters({ group, stage: FilterStage.ACTIVE }), Code.NOT_FOUND, 'FILTER_NOT_FOUND');
    await rejectsWith(admin.getFilter({ name: 'filters/test.a' }), Code.NOT_FOUND, 'FILTER_NOT_FOUND');
    const refused = await rejectsWith(
      admin.stageFilters({ sources: [{ ...source, source: 'syntax error' }] }),
      Code.FAILED_PRECONDITION,
      'FILTER_REFUSED',
    );
    assert.deepEqual(refused.metadata, { filter: 'test.a', check: 'parse' });
  });
});
