import { constants } from 'node:fs';
import { copyFile, mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { notebookInvalid } from '../../notebooks-runner/errors.ts';
import type { KernelPool } from '../../notebooks-runner/kernel/kernel-pool.ts';
import { runNotebook } from '../../notebooks-runner/run/run-notebook.ts';
import type { RunNotebookOptions } from '../../notebooks-runner/run/run-options.ts';
import type { RunEvent, RunRecord } from '../../notebooks-runner/run/run-record.ts';
import type { SecretProvider } from '../../notebooks-runner/run/secrets.ts';
import { systemClock } from '../../server/core/clock.ts';
import { AppError } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import type { JobContext, JobKind } from '../queue/job-kind.ts';
import { notebookFailed, notebookKernelKilled, shippedNotebookMissing } from './errors.ts';
import { createLivePruner, createLiveWriter } from './live-writer.ts';
import { type NotebookParams, parseNotebookParams, shippedPrefix } from './params.ts';
import { type NotebookResult, resultOf } from './result.ts';
import { type SideFiles, storeSideFiles } from './side-files.ts';

/** What notebooks run with, beside their job. */
export interface NotebookKindDeps {
  readonly objects: ObjectStore;
  /** Path of deno; empty = the npm package. */
  readonly deno?: string | undefined;
  /** Folders of Jupyter kernelspecs, see `jupyterKernelDirs`. Default none: only the shipped kernel. */
  readonly kernelDirs?: readonly string[];
  /** Folder of the shipped notebooks, `<name>.ipynb`. */
  readonly notebooksDir: string;
  /** The process environment, of which kernels inherit PATH and locale. Default: a standard PATH. */
  readonly hostEnv?: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  /** Kernels that are started ahead. Default: each run starts its own. */
  readonly pool?: KernelPool | undefined;
  /** Parent of the kernels' private folders, in which runs work. Default: a folder of the attempt; needed with `pool`. */
  readonly kernelDir?: string | undefined;
  /** What `{"$secret": "NAME"}` parameters refer to. Default: every reference is refused. */
  readonly secrets?: SecretProvider | undefined;
}

const timeoutMs = 4 * 60 * 60_000;
const maxNotebookBytes = 64 * 1024 * 1024;
const contentType = 'application/x-ipynb+json';

/**
 * Job kind `notebook`: runs a notebook on copies of its inputs in a private folder and stores the output notebook,
 * also when the run failed. NOTEBOOK_FAILED (final) names cell, error, output and where the files are that the run wrote;
 * NOTEBOOK_KERNEL_KILLED is tried again.
 * A cancelled run keeps its output under `notebooks/runs/<job>/attempt-<n>.ipynb`, since a newer attempt may own the key.
 */
export function createNotebookKind(deps: NotebookKindDeps): JobKind<NotebookParams, NotebookResult> {
  const { objects, log } = deps;
  const prune = createLivePruner(objects, systemClock, log);
  return {
    name: 'notebook',
    queueClass: 'notebook',
    timeoutMs,
    maxRetries: 2,
    parseParams: parseNotebookParams,
    // After the run, which it would hold up.
    run: (context, params) => runJob(deps, context, params).finally(prune),
  };
}

async function runJob(deps: NotebookKindDeps, context: JobContext, params: NotebookParams): Promise<NotebookResult> {
  const { objects, log } = deps;
  const { jobId, attempt, signal, workDir, clock } = context;
  const outputKey = params.outputKey || `notebooks/runs/${jobId}/output.ipynb`;
  const outputPath = join(workDir, 'output.ipynb');
  await fetchSource(deps, params.notebook, join(workDir, 'source.ipynb'), signal);
  const live = createLiveWriter({ objects, jobId, attempt, clock, log: context.log });
  const report = progressReporter(context);
  let sideFiles: SideFiles = { files: [], omitted: 0 };
  const prefix = `notebooks/runs/${jobId}/attempt-${attempt}/`;
  const takeFiles = async (dir: string, redact: (text: string) => string) => {
    const except = new Set(params.inputs.map((input) => input.as));
    sideFiles = await storeSideFiles(objects, { dir, prefix, except, redact }, signal);
  };
  let record: RunRecord;
  try {
    record = await runNotebook({
      ...(await readRunOptions(deps, context, params, outputKey)),
      takeFiles,
      onEvent: (event) => {
        live.add(event);
        report(event);
      },
    });
  } finally {
    await live.close();
  }
  if (signal.aborted) {
    const key = `notebooks/runs/${jobId}/attempt-${attempt}.ipynb`;
    await objects.putFile(key, outputPath, { contentType });
    log.info('notebook run cancelled', { job_id: jobId, output_key: key });
    throw signal.reason;
  }
  await objects.putFile(outputKey, outputPath, { contentType, signal });
  const count = sideFiles.files.length;
  throwIfFailed(record, outputKey, count === 0 ? {} : { files: String(count), files_prefix: prefix });
  return resultOf(record, outputKey, sideFiles);
}

async function readRunOptions(
  deps: NotebookKindDeps,
  context: JobContext,
  params: NotebookParams,
  outputKey: string,
): Promise<RunNotebookOptions> {
  const { objects, pool } = deps;
  const { signal, workDir } = context;
  const { onlyTags, skipTags, from, until, parameters } = params;
  const isResumed = params.resumeFrom !== '';
  const resumeFrom = isResumed ? join(workDir, 'earlier.ipynb') : undefined;
  if (resumeFrom !== undefined) await fetchSource(deps, params.resumeFrom, resumeFrom, signal);
  return {
    inputPath: join(workDir, 'source.ipynb'),
    outputPath: join(workDir, 'output.ipynb'),
    labels: { input: params.notebook, output: outputKey },
    // A resumed run without parameters takes those of the earlier one.
    ...(isResumed && Object.keys(parameters).length === 0 ? {} : { parameters }),
    kernels: { deno: deps.deno, dirs: deps.kernelDirs ?? [] },
    fillCwd: (cwd) => copyInputs(objects, params, cwd, signal),
    hostEnv: deps.hostEnv ?? {},
    runtimeDir: deps.kernelDir ?? join(workDir, 'kernel'),
    pool,
    secrets: deps.secrets,
    select: {
      onlyTags: onlyTags.length === 0 ? undefined : onlyTags,
      skipTags,
      from: from || undefined,
      until: until || undefined,
    },
    resumeFrom,
    isReport: params.report,
    limits: params.limits,
    cellTimeoutMs: params.cellTimeoutMs || undefined,
    runTimeoutMs: params.runTimeoutMs || undefined,
    idleTimeoutMs: params.idleTimeoutMs || undefined,
    signal,
    clock: context.clock,
    log: context.log,
  };
}

function throwIfFailed(record: RunRecord, outputKey: string, files: Readonly<Record<string, string>>): void {
  const { failure } = record;
  if (failure === undefined) return;
  throw failure.ename === 'KernelKilled'
    ? notebookKernelKilled(record, failure, outputKey)
    : notebookFailed(record, failure, outputKey, files);
}

/** Puts a copy of the source where the run reads it: neither runner nor notebook ever touches the stored one. */
async function fetchSource(
  { objects, notebooksDir }: NotebookKindDeps,
  notebook: string,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  if (!notebook.startsWith(shippedPrefix)) {
    await writeFile(path, await readNotebookObject(objects, notebook, signal));
    return;
  }
  const shipped = join(notebooksDir, `${notebook.slice(shippedPrefix.length)}.ipynb`);
  const isThere = await stat(shipped).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isThere) throw shippedNotebookMissing(notebook);
  await copyFile(shipped, path);
}

/** A notebook that is too large is the caller's fault, which no other try mends. */
async function readNotebookObject(objects: ObjectStore, key: string, signal: AbortSignal): Promise<Uint8Array> {
  try {
    return await objects.read(key, { maxBytes: maxNotebookBytes, signal });
  } catch (error) {
    const isTooLarge = error instanceof AppError && error.reason === 'OBJECT_TOO_LARGE';
    throw isTooLarge ? notebookInvalid('', error.message) : error;
  }
}

/** Copies, not links: a notebook that writes to its input must not change the stored object. */
async function copyInputs(objects: ObjectStore, { inputs }: NotebookParams, cwd: string, signal: AbortSignal) {
  for (const { key, as } of inputs) {
    const target = join(cwd, as);
    await mkdir(dirname(target), { recursive: true });
    await copyFile(await objects.localPath(key, signal), target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    signal.throwIfAborted();
  }
}

/** Turns run events into job progress: the share of code cells that have ended. */
function progressReporter(context: JobContext): (event: RunEvent) => void {
  let codeCells = 1;
  let ended = 0;
  const report = (message: string) =>
    context.progress({ fraction: ended / codeCells, stage: 'run cells', message, detail: { cells: codeCells, ended } });
  return (event) => {
    if (event.type === 'run:started') {
      codeCells = Math.max(1, event.codeCells);
      context.progress({ fraction: 0, stage: 'start kernel' });
    } else if (event.type === 'cell:started') report(`cell ${event.index}`);
    else if (event.type === 'cell:finished') {
      ended++;
      report(`cell ${event.index} ${event.status}`);
    }
  };
}
