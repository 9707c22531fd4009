import { AppError, messageOf } from '../../server/core/errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { kernelEnvironment } from '../kernel/kernel-environment.ts';
import { watchKernel } from '../kernel/kernel-watch.ts';
import { startKernel } from '../kernel/start-kernel.ts';
import { createRunOutputs } from '../outputs/run-outputs.ts';
import { createOutputFile, type OutputFile } from './output-file.ts';
import { type PreparedRun, prepareRun } from './prepare-run.ts';
import { runCells } from './run-cells.ts';
import { createRunFolders } from './run-folders.ts';
import { type RunLimits, type RunNotebookOptions, withDefaultLimits } from './run-options.ts';
import type { RunEvent, RunRecord } from './run-record.ts';
import { createRunState, type RunEnd, type RunState } from './run-state.ts';
import { createStopRequest, type StopRequest, verdictOf } from './stop-request.ts';

/**
 * Runs a notebook from top to bottom in a kernel of its own and gives a truthful record of it; the same record and all
 * outputs are in the output notebook, which is a whole valid document at every moment. The source is never written.
 *
 * A notebook that fails, times out, is killed or cancelled gives a record, not an error. Thrown are: NOTEBOOK_INVALID,
 * NOTEBOOK_NOT_FOUND, NOTEBOOK_PARAMETERS_INVALID, NOTEBOOK_LANGUAGE_UNSUPPORTED, NOTEBOOK_OUTPUT_IS_SOURCE,
 * KERNEL_MISSING, KERNELSPEC_INVALID (nothing is written), KERNEL_START_FAILED (the output says so) and
 * NOTEBOOK_OUTPUT_UNWRITABLE. No kernel process is left in any case.
 */
export async function runNotebook(options: RunNotebookOptions): Promise<RunRecord> {
  const { inputPath, outputPath, labels, clock, log } = options;
  const limits = withDefaultLimits(options.limits);
  const prepared = await prepareRun(options, limits.maxSourceBytes);
  for (const warning of prepared.warnings) log.warn('notebook repaired', { warning });
  const state = createRunState({
    prepared,
    labels: labels ?? { input: inputPath ?? '', output: outputPath ?? '' },
    outputPath,
    clock,
  });
  const file = await openOutput(options, state);
  const emit = safeEmitter(options);
  emit({ type: 'run:started', codeCells: state.cells.length });
  try {
    state.conclude(await runInKernel(options, prepared, state, emit, limits, () => file?.touch()));
  } catch (error) {
    const ename =
      error instanceof AppError && error.reason === 'KERNEL_START_FAILED' ? 'KernelStartFailed' : 'RunnerError';
    state.conclude({ status: 'failed', error: { ename, evalue: messageOf(error), traceback: [] } });
    await file?.finish();
    throw error;
  }
  const isSourceUnchanged = await prepared.isSourceUnchanged();
  if (!isSourceUnchanged) state.warn('the source notebook was changed by somebody else during the run');
  await file?.finish();
  const record = state.record(isSourceUnchanged);
  emit({ type: 'run:finished', status: record.status, durationMs: record.durationMs });
  return record;
}

async function openOutput(options: RunNotebookOptions, { render }: RunState): Promise<OutputFile | undefined> {
  const { outputPath, clock, log, saveIntervalMs = 2_000 } = options;
  if (outputPath === undefined) return undefined;
  return createOutputFile({ path: outputPath, clock, log, minIntervalMs: saveIntervalMs, render });
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

/** Starts the kernel, runs the cells and ends the kernel; gives how the run ended. */
async function runInKernel(
  options: RunNotebookOptions,
  prepared: PreparedRun,
  state: RunState,
  emit: (event: RunEvent) => void,
  limits: Required<RunLimits>,
  onChange: () => void,
): Promise<RunEnd> {
  const { clock, log, signal, runTimeoutMs } = options;
  await using folders = await createRunFolders(options.runtimeDir);
  const stop = createStopRequest();
  const cancel = () => stop.request({ kind: 'cancelled' });
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted === true) cancel();
  const cancelTimer =
    runTimeoutMs === undefined
      ? () => {}
      : clock.schedule(runTimeoutMs, () => stop.request({ kind: 'run_timeout', timeoutMs: runTimeoutMs }));
  let kernel: Kernel | undefined;
  try {
    const startedMs = clock.monotonic();
    kernel = await startKernel({
      spec: prepared.spec,
      cwd: options.cwd ?? folders.work,
      env: kernelEnvironment(options.hostEnv ?? {}, folders, prepared.spec.env, options.env ?? {}),
      runtimeDir: folders.runtime,
      startTimeoutMs: options.startTimeoutMs ?? 60_000,
      signal: stop.signal,
      clock,
      log,
    });
    noteReady(kernel, clock.monotonic() - startedMs, state, emit);
    return await watchedRun(kernel, options, state, stop, limits, emit, onChange);
  } catch (error) {
    const reason = stop.reason();
    if (kernel !== undefined || reason === undefined) throw error;
    return verdictOf(reason);
  } finally {
    cancelTimer();
    signal?.removeEventListener('abort', cancel);
    if (stop.reason() !== undefined) await kernel?.kill();
    await kernel?.close();
  }
}

function noteReady(kernel: Kernel, readyAfterMs: number, state: RunState, emit: (event: RunEvent) => void): void {
  const info = kernel.info();
  state.setKernel(
    {
      implementation: String(info['implementation'] ?? ''),
      version: String(info['implementation_version'] ?? ''),
      readyAfterMs,
    },
    info['language_info'],
  );
  emit({ type: 'kernel:ready', readyAfterMs });
}

/** Runs the cells under the memory and heartbeat watch; a stop interrupts the cell, then kills the kernel. */
async function watchedRun(
  kernel: Kernel,
  options: RunNotebookOptions,
  state: RunState,
  stop: StopRequest,
  limits: Required<RunLimits>,
  emit: (event: RunEvent) => void,
  onChange: () => void,
): Promise<RunEnd> {
  const { clock, log, cellTimeoutMs, interruptGraceMs = 1_000 } = options;
  const { maxMemoryBytes, heartbeatTimeoutMs } = limits;
  const watch = watchKernel({ kernel, clock, log, maxMemoryBytes, heartbeatTimeoutMs, onTrip: stop.request });
  let cancelKill = () => {};
  const end = () => {
    const kind = stop.reason()?.kind;
    const isHopeless = kind === 'memory' || kind === 'unresponsive';
    if (!isHopeless) kernel.interrupt();
    cancelKill = clock.schedule(isHopeless ? 0 : interruptGraceMs, () => void kernel.kill());
  };
  stop.signal.addEventListener('abort', end, { once: true });
  if (stop.signal.aborted) end();
  try {
    const outputs = createRunOutputs({
      maxCellBytes: limits.maxCellOutputBytes,
      maxRunBytes: limits.maxRunOutputBytes,
    });
    return await runCells({ kernel, state, stop, clock, outputs, cellTimeoutMs, emit, onChange });
  } finally {
    watch.stop();
    cancelKill();
    stop.signal.removeEventListener('abort', end);
    state.setKernel({ peakMemoryBytes: watch.peakBytes() });
  }
}
