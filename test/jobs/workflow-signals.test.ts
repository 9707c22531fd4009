// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import assert from 'node:assert/strict';
import type { WorkflowNode } from '../../server/jobs/workflows/workflow.ts';
import type { Json } from '../../workers/queue/job-kind.ts';
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
});
