import { AppError, messageOf } from '../../server/core/errors.ts';
import { type ReadyKernel, startReadyKernel } from '../kernel/ready-kernel.ts';
import { createOutputChanges, noChanges } from '../outputs/output-changes.ts';
import { createRedactor } from '../outputs/redactor.ts';
import { kernelRequestOf } from './kernel-request.ts';
import { createOutputFile, type OutputFile } from './output-file.ts';
import { prepareRun } from './prepare-run.ts';
import type { RunContext } from './run-context.ts';
import { type RunNotebookOptions, withDefaultLimits } from './run-options.ts';
import type { RunEvent, RunRecord } from './run-record.ts';
import { createRunState, type RunEnd, type RunState } from './run-state.ts';
import { secretEnvironment, withoutSecrets } from './secrets.ts';
import { createStopRequest, verdictOf } from './stop-request.ts';
import { watchedRun } from './watched-run.ts';

/**
 * Runs a notebook from top to bottom in a kernel of its own and gives a truthful record of it; the same record and all
 * outputs are in the output notebook, which is a whole valid document at every moment. The source is never written.
 *
 * A notebook that fails, times out, is killed or cancelled gives a record, not an error. Thrown are: NOTEBOOK_INVALID,
 * NOTEBOOK_NOT_FOUND, NOTEBOOK_PARAMETERS_INVALID, NOTEBOOK_LANGUAGE_UNSUPPORTED, NOTEBOOK_SELECTION_INVALID,
 * NOTEBOOK_SECRET_MISSING, NOTEBOOK_SECRET_TOO_SHORT, NOTEBOOK_OUTPUT_IS_SOURCE, NOTEBOOK_OUTPUT_IN_USE,
 * KERNEL_MISSING, KERNELSPEC_INVALID (nothing is written), KERNEL_START_FAILED (the output says so) and
 * NOTEBOOK_OUTPUT_UNWRITABLE. No kernel process is left in any case.
 */
export async function runNotebook(options: RunNotebookOptions): Promise<RunRecord> {
  const { inputPath, outputPath, labels, clock, log } = options;
  const limits = withDefaultLimits(options.limits);
  const prepared = await prepareRun(options, limits.maxSourceBytes);
  // The record and the document name them too.
  for (const warning of prepared.warnings) log.info('notebook repaired', { warning });
  const changes = outputPath === undefined ? noChanges : createOutputChanges();
  const state = createRunState({
    prepared,
    labels: labels ?? { input: inputPath ?? '', output: outputPath ?? '' },
    outputPath,
    clock,
    changes,
  });
  const file = await openOutput(options, state);
  const emit = safeEmitter(options);
  emit({ type: 'run:started', codeCells: state.cells.length });
  const stop = createStopRequest();
  const onChange = () => file?.touch();
  const redactor = createRedactor(prepared.secrets);
  const context: RunContext = { options, limits, prepared, redactor, state, changes, stop, emit, onChange };
  let closed = Promise.resolve();
  try {
    const end = await runInKernel(context, (ready) => {
      closed = ready.close();
    });
    state.conclude(end);
  } catch (thrown) {
    const error = withoutSecrets(thrown, redactor);
    const ename =
      error instanceof AppError && error.reason === 'KERNEL_START_FAILED' ? 'KernelStartFailed' : 'RunnerError';
    state.conclude({ status: 'failed', error: { ename, evalue: redactor.text(messageOf(error)), traceback: [] } });
    await file?.finish();
    await closed;
    throw error;
  }
  const isSourceUnchanged = await prepared.isSourceUnchanged();
  if (!isSourceUnchanged) state.warn('the source notebook was changed by somebody else during the run');
  try {
    await file?.finish();
  } finally {
    await closed;
  }
  const record = state.record(isSourceUnchanged);
  emit({ type: 'run:finished', status: record.status, durationMs: record.durationMs });
  return record;
}

async function openOutput(options: RunNotebookOptions, state: RunState): Promise<OutputFile | undefined> {
  const { outputPath, clock, log, saveIntervalMs = 2_000 } = options;
  if (outputPath === undefined) return undefined;
  const { render, drainJournal } = state;
  return createOutputFile({ path: outputPath, clock, log, minIntervalMs: saveIntervalMs, render, drainJournal });
}

/** A listener's fault must not end the run. */
function safeEmitter({ onEvent, log }: RunNotebookOptions): (event: RunEvent) => void {
  return (event) => {
    try {
      onEvent?.(event);
    } catch (error) {
      log.error('run event listener failed', { event: event.type, error: messageOf(error) });
    }
  };
}

/** Obtains a kernel, runs the cells and ends the kernel, which `release` then gets; gives how the run ended. */
async function runInKernel(context: RunContext, release: (ready: ReadyKernel) => void): Promise<RunEnd> {
  const { options, stop } = context;
  const { clock, signal, runTimeoutMs } = options;
  const cancel = () => stop.request({ kind: 'cancelled' });
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted === true) cancel();
  const cancelTimer =
    runTimeoutMs === undefined
      ? () => {}
      : clock.schedule(runTimeoutMs, () => stop.request({ kind: 'run_timeout', timeoutMs: runTimeoutMs }));
  let ready: ReadyKernel | undefined;
  try {
    ready = await obtainKernel(context);
    noteReady(ready, context);
    const cwd = options.cwd ?? ready.folders.work;
    await options.fillCwd?.(cwd);
    const end = await watchedRun(ready, context);
    await takeFiles(end, context, cwd);
    return end;
  } catch (error) {
    const reason = stop.reason();
    if (reason === undefined) throw error;
    // Whoever fills the working directory or takes files often gives up by an error when the run is cancelled.
    if (ready !== undefined) options.log.info('run stopped', { by: reason.kind, error: messageOf(error) });
    return verdictOf(reason);
  } finally {
    cancelTimer();
    signal?.removeEventListener('abort', cancel);
    if (stop.reason() !== undefined) await ready?.kernel.kill();
    await ready?.end();
    if (ready !== undefined) release(ready);
  }
}

/** Files of a run that failed help to find out why: that they cannot be taken is no failure more. */
async function takeFiles({ status }: RunEnd, { options, redactor }: RunContext, cwd: string): Promise<void> {
  // Of a run that was stopped or killed a process may still write.
  if (status !== 'succeeded' && status !== 'failed') return;
  try {
    await options.takeFiles?.(cwd, redactor.text);
  } catch (error) {
    if (status === 'succeeded') throw error;
    options.log.warn('files of a failed run not taken', { error: messageOf(error) });
  }
}

async function obtainKernel({ options, prepared, stop }: RunContext): Promise<ReadyKernel> {
  const { clock, log, pool, owner } = options;
  const secrets = secretEnvironment(prepared.secrets);
  const request = kernelRequestOf(options, prepared.spec, secrets);
  const { signal } = stop;
  if (pool === undefined) return startReadyKernel(request, { signal, clock, log });
  return pool.claim(request, { signal, owner, isRepeatable: Object.keys(secrets).length === 0 });
}

function noteReady({ kernel, readyAfterMs, isPrewarmed }: ReadyKernel, { state, emit }: RunContext): void {
  const info = kernel.info();
  state.setKernel(
    {
      implementation: String(info['implementation'] ?? ''),
      version: String(info['implementation_version'] ?? ''),
      readyAfterMs,
      isPrewarmed,
    },
    info['language_info'],
  );
  emit({ type: 'kernel:ready', readyAfterMs, pid: kernel.pid });
}
