import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { reapKernels } from '../../notebooks-runner/kernel/kernel-folders.ts';
import { createKernelPool } from '../../notebooks-runner/kernel/kernel-pool.ts';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { createNotebookKind, type NotebookKindDeps } from '../../workers/notebook/notebook-kind.ts';
import type { JobContext, JobKind, Json } from '../../workers/queue/job-kind.ts';

type Params = Readonly<Record<string, Json>>;

/** As many lost workers as there are rounds must not fail a job. */
const maxRetries = 10_000;

function kind(
  name: string,
  queueClass: string,
  run: (context: JobContext, params: Params) => Promise<Json>,
): JobKind<Params> {
  return { name, queueClass, timeoutMs: 60_000, maxRetries, parseParams: (value) => value as Params, run };
}

/** Runs a program that lives until it is killed: what an orphan would be. Its argument marks it. */
async function withProgram<T>({ signal }: JobContext, marker: string, work: () => Promise<T>): Promise<T> {
  const program = spawn('sleep', [marker], { stdio: 'ignore' });
  const ended = once(program, 'exit');
  const kill = () => void program.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  try {
    return await work();
  } finally {
    kill();
    await ended;
  }
}

const smallKinds: readonly JobKind[] = [
  kind('steps', 'work', async (context, params) => {
    const first = await context.step('first', async () => {
      await context.clock.sleep(Number(params['ms']), context.signal);
      return { n: Number(params['n']) * 2 };
    });
    await context.clock.sleep(Number(params['ms']), context.signal);
    return { n: params['n'] ?? null, first: await context.step('second', async () => first) };
  }),
  kind('program', 'work', async (context, params) =>
    withProgram(context, String(params['marker']), async () => {
      await context.clock.sleep(Number(params['ms']), context.signal);
      return { n: params['n'] ?? null };
    }),
  ),
  kind('fan', 'work', async (context, params) => {
    const parts = [0, 1, 2].map((i) => ({ kind: 'part', params: { ...params, i }, key: `p${i}`, label: `part ${i}` }));
    const results = await context.children<{ i: number }>('parts', parts);
    return { n: params['n'] ?? null, sum: results.reduce((sum, { i }) => sum + i, 0) };
  }),
  kind('part', 'parts', async (context, params) => {
    await context.clock.sleep(Number(params['ms']), context.signal);
    return { i: params['i'] ?? null };
  }),
  kind('flaky', 'work', async (context, params) => {
    context.progress({ fraction: 0.5, stage: 'try' });
    if (context.attempt < 3) throw new AppError({ code: Code.UNAVAILABLE, reason: 'STORE_DOWN', message: 'down' });
    return { n: params['n'] ?? null };
  }),
];

/**
 * Kinds of the chaos run: steps, parts, programs, failures and notebooks in real kernels; all give the same result
 * however often they run.
 */
export function createChaosKinds(objects: ObjectStore, kernels: Partial<NotebookKindDeps> = {}): readonly JobKind[] {
  const notebook = createNotebookKind({
    objects,
    notebooksDir: '',
    hostEnv: process.env,
    log: silentLogger,
    ...kernels,
  });
  return [...smallKinds, { ...notebook, maxRetries }];
}

/** Kernels of a worker as workers/kinds.ts has them: one started ahead, those of killed workers ended. */
export function openChaosKernels(dir: string): Required<Pick<NotebookKindDeps, 'kernelDir' | 'pool'>> {
  const kernelDir = join(dir, 'kernels');
  // One that cannot be removed now is found among the orphans.
  reapKernels(kernelDir).catch(() => {});
  return { kernelDir, pool: createKernelPool({ clock: systemClock, log: silentLogger, maxIdle: 1 }) };
}
