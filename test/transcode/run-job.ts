import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { ChildJob, JobContext, JobKind, JobProgress, Json } from '../../workers/queue/job-kind.ts';

export interface JobRun {
  readonly result: Json;
  readonly progress: readonly JobProgress[];
  /** Children in the order they were asked for. */
  readonly children: readonly { job: ChildJob; result: Json }[];
}

export interface RunJobOptions {
  readonly kinds: readonly JobKind[];
  readonly kind: string;
  readonly params: Json;
  /** Folder for the job's private folders. */
  readonly dir: string;
  readonly signal?: AbortSignal;
  /** Called before a child starts; children then run one after the other, else two at a time. */
  readonly onChild?: (job: ChildJob) => unknown;
  readonly onProgress?: (report: JobProgress, kind: string) => void;
}

let runs = 0;

/** Runs `work` on each item, at most `most` at a time, to the end of all; throws the first error. */
async function inLanes<T>(items: readonly T[], most: number, work: (item: T, index: number) => Promise<void>) {
  const queue = items.entries();
  let failed = false;
  const lane = async () => {
    for (const [index, item] of queue) {
      if (failed) return;
      try {
        await work(item, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: most }, lane));
  const broken = ends.find((end) => end.status === 'rejected');
  if (broken) throw broken.reason;
}

/** Runs a job and its children in this process, by the contract of JobContext. */
export async function runJob(options: RunJobOptions): Promise<JobRun> {
  const kind = options.kinds.find((each) => each.name === options.kind);
  if (!kind) throw new Error(`no kind ${options.kind}`);
  const workDir = join(options.dir, `job-${runs++}`);
  await mkdir(workDir, { recursive: true });
  const progress: JobProgress[] = [];
  const children: { job: ChildJob; result: Json }[] = [];
  const runChildren = async (jobs: readonly ChildJob[]) => {
    const results: Json[] = [];
    await inLanes(jobs, options.onChild ? 1 : 2, async (job, index) => {
      await options.onChild?.(job);
      const { result } = await runJob({ ...options, kind: job.kind, params: job.params });
      results[index] = result;
    });
    children.push(...jobs.map((job, index) => ({ job, result: results[index] ?? null })));
    return results;
  };
  const context: JobContext = {
    jobId: `test-${runs}`,
    attempt: 1,
    fence: 1n,
    signal: options.signal ?? new AbortController().signal,
    log: silentLogger,
    clock: systemClock,
    workDir,
    progress: (report) => {
      progress.push(report);
      options.onProgress?.(report, options.kind);
    },
    step: (_name, work) => work(),
    children: <R extends Json>(_name: string, jobs: readonly ChildJob[]) => runChildren(jobs) as Promise<R[]>,
  };
  try {
    const result = await kind.run(context, kind.parseParams(options.params));
    return { result, progress, children };
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}
