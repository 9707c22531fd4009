import assert from 'node:assert/strict';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import { createJobStore, type JobStore } from '../../server/jobs/job-store.ts';
import { createEmbeddedStores } from '../support/embedded-stores.ts';
import { createShiftedClock } from '../support/shifted-clock.ts';

const dayMs = 86_400_000;
const keepMs = 60_000;

describe('jobs that are kept for a minute after their end', () => {
  const clock = createShiftedClock();
  let stores: Awaited<ReturnType<typeof createEmbeddedStores>>;
  let store: JobStore;
  before(async () => {
    stores = await createEmbeddedStores(clock);
    store = createJobStore(stores.records, { maxEvents: 100, retentionMs: 30 * dayMs });
  });
  after(() => stores[Symbol.asyncDispose]());

  const create = async (id: string, more: Partial<JobRecord> = {}) => {
    const common = { kind: 'noop', queueClass: 'work', params: {}, labels: {}, priority: 0, attempts: [], createMs: 0 };
    const record: JobRecord = {
      ...{ ...common, id, state: 'queued', traceparent: '', fence: '0', attempt: 0, sequence: 0, applied: '0-0' },
      ...more,
    };
    await store.create(
      { record, events: [{ state: 'queued' }], atMs: 0 },
      { key: record.requestKey ?? id, digest: '' },
    );
  };
  const enter = (id: string, state: JobRecord['state']) =>
    store.update(id, (record) => ({ record: { ...record, state }, events: [{ state }], atMs: 0 }));
  const sequences = async (id: string) => (await store.events(id, 0, 10)).map(({ sequence }) => sequence);

  it('have all their events as long as they run', async () => {
    await create('slow', { keepMs, keepFailedMs: keepMs });
    clock.shift(5 * keepMs);
    await enter('slow', 'running');
    clock.shift(5 * keepMs);
    assert.deepEqual(await sequences('slow'), [1, 2]);
  });

  it('are there until what follows from their end is done, and a minute more', async () => {
    await create('told', { keepMs, keepFailedMs: keepMs, requestKey: 'ann/told' });
    await enter('told', 'failed');
    // As long as no server runs, or Redis is away.
    clock.shift(5 * keepMs);
    assert.equal((await store.find('told'))?.state, 'failed', 'the next one finds out what it held');
    await store.closeOpen('told');
    // What comes late does not keep it.
    await store.update('told', (record) => ({ record, events: [{ slaMissed: 'finish', untilMs: 1 }], atMs: 1 }));
    clock.shift(keepMs / 2);
    assert.deepEqual(await sequences('told'), [1, 2, 3]);
    assert.equal((await store.findRequest('ann/told'))?.id, 'told');
    clock.shift(keepMs);
    assert.equal(await store.find('told'), undefined);
    assert.deepEqual(await sequences('told'), []);
    assert.equal(await store.findRequest('ann/told'), undefined);
  });

  it('take their log lines with them', async () => {
    const lines = 1_200;
    for (const [id, settings] of [
      ['brief', { keepMs, keepFailedMs: keepMs }],
      ['usual', {}],
    ] as const) {
      await create(id, settings);
      for (let from = 0; from < lines; from += 400) {
        const puts = Array.from({ length: 400 }, (_, i) => ({
          ...{ kind: 'put' as const, partition: `jobs/logs/${id}`, key: `000001/${String(from + i).padStart(6, '0')}` },
          ...{ value: new Uint8Array(), ttlMs: 30 * dayMs },
        }));
        await stores.records.batch(puts);
      }
      await enter(id, 'succeeded');
      await store.closeOpen(id);
    }
    clock.shift(keepMs + 1);
    const left = async (id: string) => (await stores.records.scan(`jobs/logs/${id}`, { limit: 10_000 })).length;
    assert.deepEqual([await left('brief'), await left('usual')], [0, lines]);
  });

  it('are there until the workflow run ends that may still ask for their results', async () => {
    await create('run', { kind: 'workflow', state: 'running' });
    const node = { run: 'run', depth: 1 };
    await create('node', { keepMs, node: { ...node, id: 'a' } });
    await create('item', { keepMs, node: { ...node, id: 'b', index: 0 } });
    for (const id of ['node', 'item']) {
      await enter(id, 'succeeded');
      await store.closeOpen(id);
    }
    clock.shift(3 * dayMs);
    assert.equal((await store.find('node'))?.state, 'succeeded');
    assert.equal(await store.find('item'), undefined, 'its result stands in its chunk');
    await enter('run', 'succeeded');
    await store.expire('node');
    clock.shift(keepMs + 1);
    assert.equal(await store.find('node'), undefined);
    await create('late', { keepMs, node: { ...node, id: 'c' } });
    await enter('late', 'cancelled');
    await store.closeOpen('late');
    clock.shift(31 * dayMs);
    assert.equal(await store.find('late'), undefined, 'its run has ended before it');
  });
});
