import type { Clock } from '../../server/core/clock.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { hasTag } from '../nbformat/notebook.ts';
import type { RunOutputs } from '../outputs/run-outputs.ts';
import { type CellRouter, createCellRouter } from './cell-router.ts';
import { type CellEnd, runCell } from './run-cell.ts';
import type { RunEvent, RunStatus } from './run-record.ts';
import type { RunEnd, RunningCell, RunState } from './run-state.ts';
import { type StopRequest, verdictOf } from './stop-request.ts';

export interface RunCellsOptions {
  readonly kernel: Kernel;
  readonly state: RunState;
  readonly stop: StopRequest;
  readonly clock: Clock;
  readonly outputs: RunOutputs;
  readonly cellTimeoutMs: number | undefined;
  readonly emit: (event: RunEvent) => void;
  /** Called when the document changed. */
  readonly onChange: () => void;
}

/** Nbclient's tags: the cell may raise an error; the cell is not run. */
const mayFailTag = 'raises-exception';
const skipTag = 'skip-execution';

/** Runs the code cells in order until the last, or until one ends the run. */
export async function runCells(options: RunCellsOptions): Promise<RunEnd> {
  const { kernel, state, stop, outputs, emit, onChange } = options;
  const router = createCellRouter({ outputs, byArrival: kernel.spec.dialect === 'deno', emit, onChange });
  kernel.listen(router.receive);
  let last: RunningCell | undefined;
  for (const target of state.cells) {
    const { cell } = target;
    if (hasTag(cell, skipTag) || cell.source.trim() === '') {
      state.update(target, { status: 'skipped' });
      continue;
    }
    const reason = stop.reason();
    if (reason !== undefined) return verdictOf(reason);
    if (kernel.hasDied()) return diedBetween(last);
    const end = await runOne(options, router, target);
    last = target;
    const at = target.record;
    if (end.isCleanExit) return { status: 'succeeded', isStoppedEarly: true };
    if (end.status === 'not_run') return { status: 'failed', error: end.error, at };
    if (end.status !== 'succeeded') return { status: end.status satisfies RunStatus, error: end.error, at };
  }
  return { status: 'succeeded' };
}

async function runOne(options: RunCellsOptions, router: CellRouter, target: RunningCell): Promise<CellEnd> {
  const { kernel, state, stop, clock, outputs, cellTimeoutMs, emit, onChange } = options;
  const { cell, record } = target;
  const { index, id } = record;
  const startedMs = clock.monotonic();
  state.update(target, { status: 'running', startedAtMs: clock.now() });
  emit({ type: 'cell:started', index, id });
  onChange();
  const cellOutputs = outputs.forCell(cell.outputs);
  router.begin(index, cellOutputs);
  const mayFail = hasTag(cell, mayFailTag);
  const end = await runCell({ kernel, cell, outputs: cellOutputs, router, stop, clock, cellTimeoutMs, mayFail });
  const durationMs = Math.round(clock.monotonic() - startedMs);
  const { status, error, executionCount, isErrorExpected } = end;
  state.update(target, { status, error, executionCount, isErrorExpected, durationMs, ...cellOutputs.counts() });
  if (!end.isOutputComplete) state.warn(`cells[${index}]: the kernel never confirmed that all output had come`);
  emit({ type: 'cell:finished', index, id, status, durationMs });
  onChange();
  return end;
}

function diedBetween(last: RunningCell | undefined): RunEnd {
  const evalue = 'the kernel process ended between two cells';
  return { status: 'failed', error: { ename: 'KernelExited', evalue, traceback: [] }, at: last?.record };
}
