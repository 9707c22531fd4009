import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createJobs } from '../../server/jobs/create-jobs.ts';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { openSqliteRecords } from '../../server/stores/records/sqlite-records.ts';
import type { Json } from '../../workers/queue/job-kind.ts';
import { createJobQueue } from '../../workers/queue/job-queue.ts';
import { openRedis } from '../../workers/redis/private-redis.ts';
import { createTranscodeKinds } from '../../workers/transcode/transcode-kinds.ts';
import { type CpuTime, cpuTime } from './cpu-time.ts';

const deadlineMs = 900_000;

/** Jobs, queue and two worker processes over one state folder: what serves titles, without the RPC in front. */
export interface TranscodeStack {
  readonly objects: ObjectStore;
  readonly objectsDir: string;
  /** Runs a job to its end and gives its record; throws when it does not succeed. */
  run(kind: string, params: Json): Promise<JobRecord>;
  /** A stored JSON document. */
  readJson<T>(key: string): Promise<T>;
  /** The parts of a job, in any order. */
  partsOf(job: JobRecord): Promise<JobRecord[]>;
  /** Processor time of all workers so far. */
  workerCpu(): CpuTime;
  [Symbol.asyncDispose](): Promise<void>;
}

export const workerCount = 2;

export async function startStack(): Promise<TranscodeStack> {
  const dir = await mkdtemp(join(tmpdir(), 'showrunner-bench-transcode-'));
  const common = { clock: systemClock, log: silentLogger };
  const objectsDir = join(dir, 'objects');
  const objects = await openFolderObjects({ ...common, dir: objectsDir });
  const redis = await openRedis({ ...common, dir: join(dir, 'redis') });
  const records = await openSqliteRecords({ ...common, path: join(dir, 'records.db') });
  const queue = createJobQueue({ ...common, url: redis.url });
  const jobs = createJobs({
    ...common,
    records,
    objects,
    queue,
    kinds: createTranscodeKinds({ objects, log: silentLogger }),
  });
  await jobs.start();
  const workers = await Promise.all(
    Array.from({ length: workerCount }, () => startWorker(redis.url, join(dir, 'work'), objectsDir)),
  );
  return {
    objects,
    objectsDir,
    run: async (kind, params) => {
      const { job } = await jobs.create({ kind, params, labels: {}, priority: 0 });
      for await (const _event of jobs.watch(job.id, 0, AbortSignal.timeout(deadlineMs)));
      const ended = await jobs.get(job.id);
      if (ended.state !== 'succeeded') throw new Error(`${kind} ended as ${ended.state}: ${ended.error?.message}`);
      return ended;
    },
    readJson: async <T>(key: string) => JSON.parse(Buffer.from(await objects.read(key)).toString()) as T,
    partsOf: async (job) => {
      const query = { kinds: new Set<string>(), states: new Set<never>(), labels: {}, includeParts: true };
      const page = await jobs.list({ ...query, after: undefined, pageSize: 1_000 });
      return page.jobs.filter((each) => each.parent === job.id);
    },
    workerCpu: () => {
      const all = workers.map((worker) => cpuTime(worker.pid ?? 0));
      const sum = (read: (time: CpuTime) => number) => all.reduce((total, time) => total + read(time), 0);
      return { own: sum((time) => time.own), children: sum((time) => time.children) };
    },
    [Symbol.asyncDispose]: async () => {
      for (const worker of workers) worker.kill('SIGKILL');
      await jobs.close();
      await queue.close();
      await records.close();
      await redis.close();
      await objects.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function startWorker(url: string, workDir: string, objectsDir: string): Promise<ChildProcess> {
  const script = join(import.meta.dirname, 'worker.ts');
  const flags = ['--disable-warning=ExperimentalWarning', script, url, workDir, objectsDir];
  const worker = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: worker.stdout });
  const [line] = (await once(lines, 'line', { signal: AbortSignal.timeout(60_000) })) as [string];
  if (line !== 'ready') throw new Error(`the worker of the bench said "${line}"`);
  return worker;
}
