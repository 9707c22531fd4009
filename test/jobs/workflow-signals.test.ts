// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import { createRunRows } from '../../server/jobs/workflows/run-rows.ts';
import type { WorkflowNode } from '../../server/jobs/workflows/workflow.ts';
import { createWorkflowEngine, type WorkflowEngineDeps } from '../../server/jobs/workflows/workflow-engine.ts';
import type { Json } from '../../workers/queue/job-kind.ts';
import { createEmbeddedStores } from '../support/embedded-stores.ts';
import { createShiftedClock } from '../support/shifted-clock.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';
import { createWorkflowRuns, node, type WorkflowRuns } from './fixtures/workflow-runs.ts';

describe('a workflow run that waits for an event', () => {
  let harness: JobsHarness;
  let flows: WorkflowRuns;
  before(async () => {
    harness = await openJobsHarness();
    await harness.startWorker({ work: 16 });
    flows = createWorkflowRuns(harness);
  });
  after(() => harness.close());

  it('waits for an event that was accepted after it began, also before the node is reached', async () => {
    const work = (subject: string, when: string): Partial<WorkflowNode> => ({
      work: { type: 'signal', eventKind: 'model.published', subject, when },
    });
    const id = await flows.define(
      [
        node('gate', 'hold', flows.hold('gate-open')),
        node('early', '', {}, ['gate'], work('', 'event.data.rmse < params.most')),
        node('late', '', {}, ['early'], work('${early.result.subject}', 'event.data.final')),
      ],
      { outputs: { subject: '${early.result.subject}', id: '${late.result.eventId}' } },
    );
    const event = (eventId: string, subject: string, data: Json, acceptedMs = Date.now()) =>
      harness.jobs.onEvent({ eventId, kind: 'model.published', subject, profile: '', data, acceptedMs });
    const started = await flows.run(id, { most: 0.9 });
    await event('old', 'models/old', { rmse: 0.1 }, started.createMs - 1);
    await event('bad', 'models/bad', { rmse: 0.95 });
    await event('good', 'models/good', { rmse: 0.8 });
    await event('good', 'models/good', { rmse: 0.8 });
    assert.equal((await flows.statesOf(started))['early'], 'waiting');
    harness.touch('gate-open');
    await waitUntil('it was early', async () => (await flows.statesOf(started))['early'] === 'succeeded');
    await waitUntil('it waits', async () => (await flows.statesOf(started))['late'] === 'running');
    await event('other', 'models/other', { final: true });
    assert.equal((await flows.statesOf(started))['late'], 'running');
    await event('final', 'models/good', { final: true });
    const { ended } = await flows.finished(started);
    assert.deepEqual(ended.result, { subject: 'models/good', id: 'final' });
  });

  it('takes an event that came before its subject was known', async () => {
    const id = await flows.define(
      [
        node('train', 'hold', flows.hold('trained')),
        node('published', '', {}, ['train'], {
          work: { type: 'signal', eventKind: 'model.published', subject: 'models/${train.result.attempt}', when: '' },
        }),
      ],
      { outputs: { id: '${published.result.eventId}' } },
    );
    const started = await flows.run(id);
    const event = (eventId: string, subject: string) =>
      harness.jobs.onEvent({
        ...{ eventId, kind: 'model.published', subject, profile: '', data: {}, acceptedMs: Date.now() },
      });
    for (let i = 0; i < 25; i++) await event(`other-${i}`, `models/other-${i}`);
    for (let i = 0; i < 2; i++) await event('right', 'models/1');
    assert.equal((await flows.nodesOf(started))['published']?.held?.length, 20, 'a bounded number is kept, none twice');
    harness.touch('trained');
    const { ended } = await flows.finished(started);
    assert.deepEqual(ended.result, { id: 'right' });
    assert.equal((await flows.nodesOf(ended))['published']?.held, undefined);
  });

  it('takes an event that came while its strategy held it back', async () => {
    const signal = { type: 'signal' as const, eventKind: 'model.published', subject: '', when: '' };
    const id = await flows.define(
      [node('first', 'hold', flows.hold('turn')), node('published', '', {}, [], { work: signal })],
      { strategy: { kind: 'sequential' }, outputs: { id: '${published.result.eventId}' } },
    );
    const event = (eventId: string) =>
      harness.jobs.onEvent({
        ...{ eventId, kind: 'model.published', subject: 'm', profile: '', data: {}, acceptedMs: Date.now() },
      });
    const first = await flows.run(id);
    await event('one');
    const second = await flows.run(id);
    assert.equal((await harness.jobs.get(second.id)).heldBy, 'RUN_STRATEGY');
    assert.deepEqual(await flows.statesOf(second), { first: 'waiting', published: 'waiting' });
    await event('two');
    assert.deepEqual(await flows.statesOf(second), { first: 'waiting', published: 'waiting' }, 'it has not begun');
    harness.touch('turn');
    assert.deepEqual((await flows.finished(first)).ended.result, { id: 'one' });
    assert.deepEqual((await flows.finished(second)).ended.result, { id: 'two' });
  });
});

describe('a workflow run over a clock that is set back by an hour', () => {
  it('takes the event that comes then', async () => {
    const clock = createShiftedClock();
    const harness = await openJobsHarness({ clock });
    try {
      const flows = createWorkflowRuns(harness);
      const work = { type: 'signal' as const, eventKind: 'model.published', subject: '', when: '' };
      const run = await flows.run(await flows.define([node('published', '', {}, [], { work })]));
      clock.shift(-3_600_000);
      await harness.jobs.onEvent({
        ...{ eventId: 'one', kind: 'model.published', subject: 'm', profile: '', data: {}, acceptedMs: clock.now() },
      });
      assert.equal((await flows.finished(run)).ended.state, 'succeeded');
    } finally {
      await harness.close();
    }
  });
});

describe('an event of the bus', () => {
  it('is offered to each run that waits, however many do', async () => {
    await using stores = await createEmbeddedStores();
    const put = (i: number) => ({
      ...{ kind: 'put' as const, partition: 'jobs/signals/model.published', key: `run-${i}`, value: new Uint8Array() },
    });
    const runs = 10_500;
    for (let from = 0; from < runs; from += 500)
      await stores.records.batch(Array.from({ length: 500 }, (_, i) => put(from + i)));
    const found = await createRunRows(stores.records).waitingFor('model.published');
    assert.equal(new Set(found).size, runs);
  });

  it('reaches the other runs that wait when one of them cannot be noted', async () => {
    const offered: string[] = [];
    const refusal = new Error('the store is full');
    const engine = createWorkflowEngine({
      store: {
        find: async (id: string) => {
          offered.push(id);
          if (id === 'bad') throw refusal;
          return undefined;
        },
      },
      rows: { waitingFor: async () => ['bad', 'good'], find: async () => undefined },
    } as unknown as WorkflowEngineDeps);
    const event = { eventId: 'e', kind: 'model.published', subject: '', profile: '', data: {}, acceptedMs: 0 };
    await assert.rejects(engine.onEvent(event), refusal, 'the bus tries it again');
    assert.deepEqual(offered, ['bad', 'good']);
  });
});
