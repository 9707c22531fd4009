// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import { silentLogger } from '../../server/core/log.ts';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import { chunkKeyOf, createRunObjects, resultsKeyOf } from '../../server/jobs/workflows/run-objects.ts';
import type { RunRow } from '../../server/jobs/workflows/run-state.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { createEmbeddedStores } from '../support/embedded-stores.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';
import { createWorkflowRuns, node, type WorkflowRuns } from './fixtures/workflow-runs.ts';

describe('results of the items of a run', () => {
  const systemNow = Date.now;
  let harness: JobsHarness;
  let flows: WorkflowRuns;
  before(async () => {
    harness = await openJobsHarness({ cleanIntervalMs: 20 });
    await harness.startWorker({ work: 8 });
    flows = createWorkflowRuns(harness);
  });
  after(async () => {
    Date.now = systemNow;
    await harness.close();
  });

  const keysOf = async (id: string) => (await harness.objects.list(`jobs/${id}/`)).map(({ key }) => key);
  const foreach = { items: [1, 2, 3], maxParallel: 3, maxFailed: 0 };
  const each = node('each', 'echo', { value: '${item}' }, [], { foreach });
  const both = (id: string) => [chunkKeyOf(id, 'each', 0), resultsKeyOf(id, 'each')];

  it('leave the store with it when it is deleted', async () => {
    const run = await flows.run(await flows.define([each]));
    await flows.finished(run);
    assert.deepEqual(await keysOf(run.id), both(run.id));
    await harness.jobs.delete(run.id);
    assert.deepEqual(await keysOf(run.id), []);
    assert.deepEqual(await harness.records.scan('jobs/run-objects', {}), []);
  });

  it('stay as long as a run is kept that has taken them over', async () => {
    const fails = node('last', 'fail-until', { until: harness.path('there'), value: 1 }, ['each']);
    const run = await flows.run(await flows.define([each, fails], { outputs: { list: '${each.result.resultsKey}' } }));
    assert.equal((await flows.finished(run)).ended.state, 'failed');
    harness.touch('there');
    const { job: second } = await harness.jobs.restart(run.id, {});
    assert.deepEqual((await flows.finished(second)).ended.result, { list: resultsKeyOf(run.id, 'each') });
    const { job: third } = await harness.jobs.restart(second.id, {});
    await flows.finished(third);
    await harness.jobs.delete(run.id);
    await harness.jobs.delete(second.id);
    assert.deepEqual(await keysOf(run.id), both(run.id), 'the third one still needs them');
    await harness.jobs.delete(third.id);
    await waitUntil('they are gone', async () => (await keysOf(run.id)).length === 0);
  });

  it('are made again by a restart that finds them gone', async () => {
    const fails = node('last', 'fail-until', { until: harness.path('mended'), value: 1 }, ['each']);
    const run = await flows.run(await flows.define([each, fails], { outputs: { list: '${each.result.resultsKey}' } }));
    assert.equal((await flows.finished(run)).ended.state, 'failed');
    for (const key of both(run.id)) await harness.objects.delete(key);
    harness.touch('mended');
    const { job } = await harness.jobs.restart(run.id, {});
    assert.deepEqual((await flows.finished(job)).ended.result, { list: resultsKeyOf(job.id, 'each') });
    assert.deepEqual(await keysOf(job.id), both(job.id));
  });

  it('leave the store when its record has expired, and nothing else does', async () => {
    const run = await flows.run(await flows.define([each]));
    await flows.finished(run);
    await waitUntil('it is settled', async () => (await harness.records.scan('jobs/open', {})).length === 0);
    const other = `jobs/${run.id}/notes.txt`;
    await harness.objects.put(other, Buffer.from('somebody’s'));
    await harness.jobs.get(run.id);
    Date.now = () => systemNow() + 31 * 86_400_000;
    await waitUntil('they are gone', async () => (await keysOf(run.id)).length === 1);
    assert.deepEqual(await keysOf(run.id), [other]);
  });
});

describe('results of items whose removal was cut short', () => {
  it('are removed by the next sweep, and taken over by no run before', async () => {
    await using stores = await createEmbeddedStores();
    const { records, objects } = stores;
    const runs = new Set(['old']);
    const chunks = 250;
    let room = 220;
    const failing: Pick<ObjectStore, 'stat' | 'list' | 'delete'> = {
      stat: (key) => objects.stat(key),
      list: (prefix, options) => objects.list(prefix, options),
      delete: async (key) => {
        if (room-- === 0) throw new Error('the process ends here');
        return objects.delete(key);
      },
    };
    const store = { find: async (id: string) => (runs.has(id) ? ({ id } as JobRecord) : undefined) };
    const runObjects = createRunObjects({
      ...{ records, store, objects: failing, clock: createFakeClock(), log: silentLogger },
    });
    await runObjects.note('old', {
      workflow: { nodes: [node('each', 'noop', {}, [], { foreach })] },
    } as never as RunRow);
    const keys = Array.from({ length: chunks }, (_, i) => chunkKeyOf('old', 'each', i));
    await Promise.all(keys.map((key) => objects.put(key, Buffer.from('{}'))));
    await objects.put(resultsKeyOf('old', 'each'), Buffer.from('{}'));
    assert.equal(await runObjects.sweep(), 0, 'it is there');
    runs.delete('old');
    await assert.rejects(runObjects.sweep(), /ends here/);
    runs.add('new');
    assert.equal(await runObjects.keepFor('new', resultsKeyOf('old', 'each')), false);
    assert.equal(await runObjects.sweep(), 1);
    assert.deepEqual(await objects.list('jobs/old/'), []);
    assert.equal(await runObjects.sweep(), 0);
  });
  const foreach = { items: [1], maxParallel: 1, maxFailed: 0 };
});
