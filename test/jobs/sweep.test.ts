import assert from 'node:assert/strict';
import { silentLogger } from '../../server/core/log.ts';
import { createJobOutbox, type JobOutboxDeps } from '../../server/jobs/job-outbox.ts';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import { queueUnavailable } from '../../workers/queue/queue-errors.ts';
import { createFakeClock } from '../support/fake-clock.ts';

describe('a sweep over open jobs', () => {
  /** What a sweep does with the jobs of these ids: those that begin with `r` run, the others have ended. */
  async function sweep(ids: readonly string[], more: object) {
    const did = { closed: [] as string[], left: [] as string[], watched: [] as string[] };
    const deps = {
      store: {
        openIds: async (after = '', limit = 0) => ids.slice(ids.indexOf(after) + 1).slice(0, limit),
        find: async (id: string) =>
          ({ id, kind: 'noop', queueClass: 'work', state: id.startsWith('r') ? 'running' : 'succeeded' }) as JobRecord,
        closeOpen: async (id: string) => void did.closed.push(id),
        countOpen: async () => {},
      },
      queue: { release: async () => {}, inspect: async () => [] },
      gate: { leave: async ({ id }: JobRecord) => void did.left.push(id), recheck: async () => {} },
      limits: { load: async () => {} },
      workflows: { nodeEnded: async () => {} },
      onSettled: async () => {},
      onOpen: ({ id }: JobRecord) => void did.watched.push(id),
      ...{ clock: createFakeClock(), log: silentLogger, sweepIntervalMs: 1 },
      ...more,
    };
    const outbox = createJobOutbox(deps as unknown as JobOutboxDeps);
    const error = await outbox.sweep().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return { ...did, error };
  }
  const refusing = (error: Error) => ({
    release: (id: string) => (id === 'a' ? Promise.reject(error) : Promise.resolve()),
    inspect: async () => [],
  });

  it('goes on behind a job that cannot be dealt with', async () => {
    const { closed } = await sweep(['a', 'b', 'c'], { queue: refusing(new Error('the object store is full')) });
    assert.deepEqual(closed, ['b', 'c']);
  });

  it('lets others start though an end cannot be told yet', async () => {
    const { left, closed } = await sweep(['a'], { onSettled: () => Promise.reject(new Error('the bus is full')) });
    assert.deepEqual([left, closed], [['a'], []]);
  });

  it('stops when the queue is away, but has the promises of all jobs watched', async () => {
    const running = Array.from({ length: 700 }, (_, i) => `r${i}`);
    const { closed, watched, error } = await sweep(['a', 'b', ...running], { queue: refusing(queueUnavailable()) });
    assert.deepEqual([closed, watched], [[], running]);
    assert.match(String(error), /queue/i);
  });
});
