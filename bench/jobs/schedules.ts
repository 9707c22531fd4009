import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createJobs } from '../../server/jobs/create-jobs.ts';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import type { Jobs, JobsOptions } from '../../server/jobs/jobs.ts';
import type { ScheduleSpec } from '../../server/jobs/schedules/schedule-record.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import type { RecordsStore } from '../../server/stores/records/records-store.ts';
import { openSqliteRecords } from '../../server/stores/records/sqlite-records.ts';
import type { Json } from '../../workers/queue/job-kind.ts';
import { createJobQueue } from '../../workers/queue/job-queue.ts';
import { openRedis } from '../../workers/redis/private-redis.ts';
import type { BenchRow } from '../report.ts';
import { median, percentile } from '../statistics.ts';

const scheduleCount = 10_000;
/** Of which this many run hourly and the others every two hours: 1.74 runs a second, 150,000 a day. */
const hourlyCount = 2_528;
const simulatedMs = 10 * 60_000;
const realMs = 60_000;
const nothingStoredMs = 200;
const cpuGoal = 0.05;
const lagGoalMs = 1_000;
const startGoalMs = 100;
const notebookKey = 'sources/clock.ipynb';

/** Starts a script of this folder with arguments; resolves when it says that it is ready. */
export type StartWorker = (script: string, args: readonly string[]) => Promise<ChildProcess>;

/** A clock that jumps from timer to timer; its time stands still while a slot that was begun with is not done. */
interface SimulatedClock extends Clock {
  /** Lets `ms` of its time pass. */
  run(ms: number): Promise<void>;
  begun(): void;
  done(): void;
}

function createSimulatedClock(startMs: number): SimulatedClock {
  let now = startMs;
  let pending = 0;
  let wake = () => {};
  const timers = new Map<symbol, { readonly at: number; readonly run: () => void }>();
  const earliest = () => {
    let found: symbol | undefined;
    for (const [key, { at }] of timers)
      if (at < (timers.get(found ?? key)?.at ?? 0) || found === undefined) found = key;
    return found;
  };
  return {
    ...systemClock,
    now: () => now,
    schedule: (ms, run) => {
      const key = Symbol('timer');
      timers.set(key, { at: now + Math.max(0, ms), run });
      return () => void timers.delete(key);
    },
    begun: () => {
      pending++;
    },
    done: () => {
      pending = Math.max(0, pending - 1);
      if (pending === 0) wake();
    },
    run: async (ms) => {
      const end = now + ms;
      while (now < end) {
        const key = earliest();
        const timer = key === undefined ? undefined : timers.get(key);
        if (pending > 0) {
          const { promise, resolve } = Promise.withResolvers<void>();
          wake = resolve;
          // One that was dealt with before, and read anew by a reload, stores nothing.
          await Promise.race([promise, systemClock.sleep(nothingStoredMs)]);
          // What was stored is set anew a turn later.
          await systemClock.sleep(0);
          pending = 0;
        }
        if (key === undefined || timer === undefined) {
          await systemClock.sleep(1);
          continue;
        }
        now = Math.max(now, Math.min(end, timer.at));
        if (timer.at > end) return;
        timers.delete(key);
        timer.run();
      }
    },
  };
}

async function openStack(clock: Clock, more: Partial<JobsOptions>, onScheduleStored: () => void = () => {}) {
  const dir = await mkdtemp(join(tmpdir(), 'showrunner-bench-schedules-'));
  const common = { clock: systemClock, log: silentLogger };
  const redis = await openRedis({ ...common, dir: join(dir, 'redis') });
  const records = await openSqliteRecords({ ...common, path: join(dir, 'records.db') });
  const objects = await openFolderObjects({ ...common, dir: join(dir, 'objects') });
  const queue = createJobQueue({ ...common, url: redis.url });
  const kinds = [
    { name: 'noop', queueClass: 'bench', parseParams: () => ({}) },
    { name: 'notebook', queueClass: 'notebook', parseParams: (params: Json) => params },
  ];
  const watched: RecordsStore = {
    ...records,
    put: async (partition, ...rest) => {
      const version = await records.put(partition, ...rest);
      if (partition === 'jobs/schedules') onScheduleStored();
      return version;
    },
  };
  const jobs = createJobs({ records: watched, objects, queue, kinds, clock, log: silentLogger, ...more });
  return {
    jobs,
    objects,
    dir,
    url: redis.url,
    close: async () => {
      await jobs.close();
      await queue.close();
      await objects.close();
      await records.close();
      await redis.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function createSchedules(jobs: Jobs, work: { kind: string; params: Json }): Promise<void> {
  const specs = Array.from({ length: scheduleCount }, (_, i): ScheduleSpec => {
    // Spread over seconds and minutes as by chance: some fall together.
    const spread = Math.imul(i, 0x9e3779b1) >>> 0;
    const [second, minute] = [spread % 60, Math.floor(spread / 60) % 60];
    const hour = i < hourlyCount ? '*' : `${Math.floor(spread / 3_600) % 2}-23/2`;
    return {
      id: `s${i}`,
      timing: { cron: `${second} ${minute} ${hour} * * *`, timeZone: i % 3 === 0 ? 'Europe/Berlin' : '' },
      catchUp: 'latest',
      make: { job: { ...work, labels: {}, priority: 0 } },
      paused: false,
    };
  });
  for (let from = 0; from < specs.length; from += 100) {
    await Promise.all(specs.slice(from, from + 100).map((spec) => jobs.schedules.create(spec, '')));
  }
}

/** What 10,000 schedules cost: by a simulated clock, then by the real one with a worker. */
export async function measureSchedules(startWorker: StartWorker): Promise<BenchRow[]> {
  return [...(await simulate()), ...(await runReal(startWorker))];
}

async function simulate(): Promise<BenchRow[]> {
  const clock = createSimulatedClock(Date.UTC(2026, 2, 1, 0, 30));
  const lags: number[] = [];
  const onScheduleLag = (ms: number) => {
    lags.push(ms);
    clock.begun();
  };
  const more = { onScheduleLag, maxOpenJobs: 100_000, sweepIntervalMs: 3_600_000 };
  const stack = await openStack(clock, more, clock.done);
  try {
    await createSchedules(stack.jobs, { kind: 'noop', params: {} });
    await stack.jobs.start();
    const before = process.cpuUsage();
    await clock.run(simulatedMs);
    const { user, system } = process.cpuUsage(before);
    const share = (user + system) / 1000 / simulatedMs;
    return [
      {
        measure: `${scheduleCount} schedules at ${(lags.length / (simulatedMs / 1000)).toFixed(2)} runs/s, simulated: share of a core`,
        ours: share * 100,
        unit: '%',
        goal: `< ${cpuGoal * 100} %`,
        reached: share < cpuGoal,
      },
      lagRow('lag of a slot, p99, simulated', lags),
    ];
  } finally {
    await stack.close();
  }
}

/** In real time, with notebooks for jobs: what Netflix aimed at with 150,000 notebooks a day of 10,000 schedules. */
async function runReal(startWorker: StartWorker): Promise<BenchRow[]> {
  const lags: number[] = [];
  const stack = await openStack(systemClock, { onScheduleLag: (ms) => lags.push(ms) });
  const worker = await startWorker('notebook-worker.ts', [stack.url, stack.dir]);
  try {
    await stack.objects.put(notebookKey, Buffer.from(JSON.stringify(clockNotebook())));
    await createSchedules(stack.jobs, { kind: 'notebook', params: { notebook: notebookKey } });
    await stack.jobs.start();
    await warmUp(stack.jobs);
    const startedMs = Date.now();
    const before = process.cpuUsage();
    lags.length = 0;
    await systemClock.sleep(realMs);
    const { user, system } = process.cpuUsage(before);
    const share = (user + system) / 1000 / realMs;
    // What has just begun still ends.
    await systemClock.sleep(2_000);
    const query = { kinds: new Set<string>(), states: new Set<never>(), labels: {}, includeParts: false };
    const { jobs } = await stack.jobs.list({ ...query, after: undefined, pageSize: 500 });
    const ofSlots = jobs.flatMap((job) => {
      const slotMs = Number(job.requestKey?.split('/').at(-1));
      return slotMs > startedMs && slotMs < startedMs + realMs ? [{ job, slotMs }] : [];
    });
    const starts = ofSlots.map(({ job, slotMs }) => (job.startMs ?? Number.POSITIVE_INFINITY) - slotMs);
    const clocks = ofSlots.map(({ job, slotMs }) => ({ ...clockOf(job), slotMs }));
    const warm = clocks.filter(({ born, slotMs }) => born < slotMs);
    const cells = warm.map(({ at, slotMs }) => at - slotMs);
    return [
      {
        measure: `${scheduleCount} schedules, ${realMs / 1000} s of real time, ${ofSlots.length} notebooks: share of a core`,
        ours: share * 100,
        unit: '%',
        goal: `< ${cpuGoal * 100} %`,
        reached: share < cpuGoal,
      },
      lagRow('lag of a slot, p99, real time', lags),
      { measure: 'from the slot to the start on a worker, median', ours: median(starts), unit: 'ms' },
      startRow('from the slot to the start on a worker, p99', starts),
      {
        measure: `from the slot to the first line of ${warm.length} of them in warm kernels, median`,
        ours: median(cells),
        unit: 'ms',
      },
      startRow('from the slot to the first line in a warm kernel, p99', cells),
    ];
  } finally {
    const ended = once(worker, 'exit');
    worker.kill('SIGTERM');
    await ended;
    await stack.close();
  }
}

/** Hands out when its first line runs. */
function clockNotebook(): object {
  const scrap =
    '{ name: "clock", data: { at: Date.now(), born: performance.timeOrigin }, encoder: "json", version: 1 }';
  const source = `await Deno.jupyter.display({ "application/scrapbook.scrap.json+json": ${scrap} }, { raw: true });`;
  const cell = { cell_type: 'code', id: 'clock', metadata: {}, source, outputs: [], execution_count: null };
  const kernelspec = { name: 'deno', display_name: 'Deno', language: 'typescript' };
  return { nbformat: 4, nbformat_minor: 5, metadata: { kernelspec }, cells: [cell] };
}

/** When the first line ran, late for ever when it did not, and when its kernel's process was started. */
function clockOf({ result }: JobRecord): { readonly at: number; readonly born: number } {
  const { scraps } = (result ?? {}) as { scraps?: { clock?: { at: number; born: number } } };
  return scraps?.clock ?? { at: Number.POSITIVE_INFINITY, born: 0 };
}

/** A few notebooks side by side, so that as many kernels wait. */
async function warmUp(jobs: Jobs): Promise<void> {
  const spec = { kind: 'notebook', params: { notebook: notebookKey }, labels: {}, priority: 0 };
  const made = await Promise.all([1, 2, 3, 4].map(() => jobs.create(spec)));
  for (const { job } of made) for await (const _event of jobs.watch(job.id, 0, AbortSignal.timeout(60_000)));
  await systemClock.sleep(3_000);
}

function startRow(measure: string, times: readonly number[]): BenchRow {
  const ours = percentile(times, 0.99);
  return { measure, ours, unit: 'ms', goal: `< ${startGoalMs} ms`, reached: ours < startGoalMs };
}

function lagRow(measure: string, lags: readonly number[]): BenchRow {
  const ours = percentile(lags, 0.99);
  return { measure, ours, unit: 'ms', goal: `< ${lagGoalMs} ms`, reached: ours < lagGoalMs };
}
