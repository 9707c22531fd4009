import assert from 'node:assert/strict';
import { silentLogger } from '../../server/core/log.ts';
import { createJobOutbox, type JobOutboxDeps } from '../../server/jobs/job-outbox.ts';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import { queueUnavailable } from '../../workers/queue/queue-errors.ts';
import { createFakeClock } from '../support/fake-clock.ts';

describe('a sweep over open jobs', () => {
  /** Ids of the ended jobs `a`, `b` and `c` that a sweep takes off the outbox when `a` is answered so. */
  async function swept(refuse: () => Promise<void>): Promise<string[]> {
    const closed: string[] = [];
    const deps = {
      store: {
        openIds: async () => ['a', 'b', 'c'],
        find: async (id: string) => ({ id, kind: 'noop', queueClass: 'work', state: 'succeeded' }) as JobRecord,
        closeOpen: async (id: string) => void closed.push(id),
        countOpen: async () => {},
      },
      queue: { release: (id: string) => (id === 'a' ? refuse() : Promise.resolve()), inspect: async () => [] },
      gate: { leave: async () => {}, recheck: async () => {} },
      limits: { load: async () => {} },
      workflows: { nodeEnded: async () => {} },
      onSettled: async () => {},
      onOpen: () => {},
      ...{ clock: createFakeClock(), log: silentLogger, sweepIntervalMs: 1 },
    };
    const outbox = createJobOutbox(deps as unknown as JobOutboxDeps);
    await outbox.sweep().catch(() => {});
    return closed;
  }

  it('goes on behind a job that cannot be dealt with', async () => {
    assert.deepEqual(await swept(() => Promise.reject(new Error('the object store is full'))), ['b', 'c']);
  });

  it('lets others start though an end cannot be told yet', async () => {
    const left: string[] = [];
    const closed: string[] = [];
    const deps = {
      store: {
        openIds: async () => ['a'],
        find: async (id: string) => ({ id, kind: 'noop', queueClass: 'work', state: 'succeeded' }) as JobRecord,
        closeOpen: async (id: string) => void closed.push(id),
        countOpen: async () => {},
      },
      queue: { release: async () => {}, inspect: async () => [] },
      gate: { leave: async ({ id }: JobRecord) => void left.push(id), recheck: async () => {} },
      limits: { load: async () => {} },
      workflows: { nodeEnded: async () => {} },
      onSettled: () => Promise.reject(new Error('the bus is full')),
      onOpen: () => {},
      ...{ clock: createFakeClock(), log: silentLogger, sweepIntervalMs: 1 },
    };
    await createJobOutbox(deps as unknown as JobOutboxDeps).sweep();
    assert.deepEqual([left, closed], [['a'], []]);
  });

  it('stops when the queue is away', async () => {
    assert.deepEqual(await swept(() => Promise.reject(queueUnavailable())), []);
  });
});
