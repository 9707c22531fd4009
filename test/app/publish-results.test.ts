import assert from 'node:assert/strict';
import { publishResults } from '../../server/app/publish-results.ts';
import type { JobHook } from '../../server/jobs/job-publisher.ts';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import { openEvents } from '../events/open-events.ts';

describe('the result of a job', () => {
  it('is announced to the profile of the label notify, and to nobody where the label says something else', async () => {
    await using area = await openEvents();
    const hooks = new Map<string, JobHook>();
    const trained: string[] = [];
    publishResults({
      jobs: { onJobSucceeded: (kind, hook) => void hooks.set(kind, hook) },
      manifest: { registerEncodeSet: () => assert.fail('no transcode here') },
      ranking: { onTrained: async (job) => void trained.push(job) },
      events: area.events,
    });
    const result = { modelId: 'm', publish: true };
    const succeed = (id: string, labels: JobRecord['labels']) =>
      hooks.get('train-ranker')?.({ id, labels, result } as Partial<JobRecord> as JobRecord);
    await succeed('plain', {});
    await succeed('told', { notify: 'profiles/Ada~7' });
    await succeed('other', { notify: 'me/by-mail' });
    assert.deepEqual(trained, ['jobs/plain', 'jobs/told', 'jobs/other']);
    const { events } = await area.events.reader.list(0n, 10, { kinds: [], profile: '' });
    assert.deepEqual(
      events.map(({ eventId, profile }) => [eventId, profile]),
      [
        ['model.published-plain', ''],
        ['model.published-told', 'profiles/Ada~7'],
        ['model.published-other', ''],
      ],
    );
  });
});
