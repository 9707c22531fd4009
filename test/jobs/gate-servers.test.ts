import assert from 'node:assert/strict';
import { systemClock } from '../../server/core/clock.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createJobGate, type JobGate } from '../../server/jobs/gate/job-gate.ts';
import { createJobLimitsStore } from '../../server/jobs/gate/job-limits-store.ts';
import type { RunStrategy } from '../../server/jobs/gate/run-strategy.ts';
import { isTerminal, type JobRecord, type JobState } from '../../server/jobs/job-record.ts';
import { createJobStore } from '../../server/jobs/job-store.ts';
import { createEmbeddedStores } from '../support/embedded-stores.ts';

describe('run strategies on two servers', () => {
  const runs = 40;
  /** A gate on each of two servers, which run, end and sometimes forget to launch runs as a seed says. */
  async function play(strategy: RunStrategy, seed: number, ownerLimit: number) {
    await using stores = await createEmbeddedStores();
    const { records } = stores;
    const random = createSeededRandom(seed);
    const store = createJobStore(records, { maxEvents: 10, retentionMs: 60_000 });
    const limits = createJobLimitsStore(records);
    await limits.set({ key: 'owner/ann', maxRunning: ownerLimit, weight: 1 });
    const running = new Set<string>();
    let most = 0;
    const enter = (id: string, state: JobState) =>
      store.update(id, (record) => {
        if (isTerminal(record.state)) return undefined;
        return { record: { ...record, state }, events: [], atMs: 0 };
      });
    const end = async (id: string, state: JobState) => {
      running.delete(id);
      const job = await enter(id, state);
      if (job !== undefined) await pick().leave(job);
    };
    const server = (): JobGate =>
      createJobGate({
        ...{ records, store, limits, clock: systemClock },
        launch: async ({ id }) => {
          running.add(id);
          most = Math.max(most, running.size);
        },
        drop: async (id) => {
          const job = await store.get(id);
          if (isTerminal(job.state)) return;
          running.delete(id);
          await enter(id, job.heldBy === undefined ? 'cancelled' : 'skipped');
        },
      });
    let servers = [server(), server()];
    const pick = () => servers[Math.floor(random.next() * 2)] as JobGate;
    const create = async (i: number) => {
      const id = `run-${String(i).padStart(3, '0')}`;
      const common = {
        kind: 'noop',
        queueClass: 'work',
        params: {},
        labels: {},
        priority: 0,
        attempts: [],
        createMs: 0,
      };
      const record: JobRecord = {
        ...{ ...common, id, state: 'queued', traceparent: '', fence: '0', attempt: 0, sequence: 0, applied: '0-0' },
        ...{ owner: 'ann', heldBy: 'RUN_STRATEGY', gate: { scope: 'template/t', strategy } },
      };
      await store.create({ record, events: [], atMs: 0 });
      return record;
    };
    const all: string[] = [];
    const step = async () => {
      const dice = random.next();
      if (dice < 0.6 && all.length < runs) {
        const record = await create(all.length);
        all.push(record.id);
        // Both servers' sweeps may meet it.
        await Promise.all([pick().admit(record), ...(dice < 0.2 ? [pick().admit(record)] : [])]);
      } else if (dice < 0.65) servers = [server(), servers[0] as JobGate];
      else {
        const [first] = running;
        if (first !== undefined) await end(first, dice < 0.75 ? 'failed' : 'succeeded');
      }
    };
    for (let i = 0; i < runs; i++) await Promise.all([step(), step(), step()]);
    // What a sweep does for what has not come to its end.
    for (let round = 0; round < 2 * runs; round++) {
      const jobs = await Promise.all(all.map((id) => store.get(id)));
      const open = jobs.filter(({ state }) => !isTerminal(state));
      for (const job of jobs) if (isTerminal(job.state)) await pick().leave(job);
      for (const job of open) if (job.heldBy !== undefined) await pick().admit(job);
      await pick().unblock('template/t');
      for (const id of [...running]) await end(id, 'succeeded');
      if (open.length === 0) break;
    }
    const states = (await Promise.all(all.map((id) => store.get(id)))).map(({ state }) => state);
    const left = { gates: await records.scan('jobs/gates', {}), taken: await pick().permitsTaken('owner/ann') };
    return { most, states, left };
  }

  const strategies: readonly (readonly [RunStrategy, most: number, all: boolean])[] = [
    [{ kind: 'sequential' }, 1, true],
    [{ kind: 'strict_sequential' }, 1, true],
    [{ kind: 'first_only' }, 1, false],
    [{ kind: 'last_only' }, 1, false],
    [{ kind: 'serial_latest_only' }, 1, false],
    [{ kind: 'parallel', maxParallel: 3 }, 3, true],
    [{ kind: 'unlimited' }, 5, true],
  ];
  for (const [strategy, most, all] of strategies) {
    it(`never let too many run with ${strategy.kind.toUpperCase()}, and bring each to its end`, async () => {
      for (const seed of [1, 2]) {
        const played = await play(strategy, seed, 5);
        assert.ok(played.most <= most, `${played.most} ran at once`);
        assert.ok(
          played.states.every(isTerminal),
          `none is left: ${played.states.filter((state) => !isTerminal(state))}`,
        );
        if (all) assert.ok(played.states.every((state) => state === 'succeeded' || state === 'failed'));
        assert.deepEqual(played.left, { gates: [], taken: 0 });
      }
    });
  }
});

describe('limits that are read while one is set', () => {
  it('hold the new one', async () => {
    await using stores = await createEmbeddedStores();
    const { records } = stores;
    const scanned = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const limits = createJobLimitsStore({
      ...records,
      scan: async (...args) => {
        const rows = await records.scan(...args);
        scanned.resolve();
        await go.promise;
        return rows;
      },
    });
    const loading = limits.load();
    await scanned.promise;
    await limits.set({ key: 'owner/ann', maxRunning: 1, weight: 1 });
    go.resolve();
    await loading;
    assert.equal(limits.applied({ kind: 'noop', owner: 'ann' }).length, 1);
  });
});
