import type { Clock } from '../../server/core/clock.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { type CodeCell, hasTag } from '../nbformat/notebook.ts';
import type { Redactor } from '../outputs/redactor.ts';
import type { RunOutputs } from '../outputs/run-outputs.ts';
import { type CellRouter, createCellRouter } from './cell-router.ts';
import type { PreparedRun } from './prepare-run.ts';
import { isSameOutput, runOnceTag } from './resume-plan.ts';
import { type CellEnd, redactedError, runCell } from './run-cell.ts';
import type { RunEvent, RunStatus } from './run-record.ts';
import type { RunEnd, RunningCell, RunState } from './run-state.ts';
import { type StopRequest, verdictOf } from './stop-request.ts';
import { verdictOfExit } from './verdict-of-exit.ts';
import type { WidgetState } from './widget-state.ts';

interface RunCellsOptions {
  readonly kernel: Kernel;
  readonly state: RunState;
  readonly stop: StopRequest;
  readonly clock: Clock;
  readonly outputs: RunOutputs;
  readonly widgets: WidgetState;
  readonly redactor: Redactor;
  readonly plan: Pick<PreparedRun, 'isSelected' | 'timeoutMsOf' | 'resume'>;
  /** For cells that set none of their own. */
  readonly cellTimeoutMs: number | undefined;
  readonly idleTimeoutMs: number | undefined;
  readonly emit: (event: RunEvent) => void;
  /** Called when the document changed. */
  readonly onChange: () => void;
}

/** Nbclient's tag: the cell may raise an error. */
const mayFailTag = 'raises-exception';

/** Runs the code cells in order until the last, or until one ends the run. */
export async function runCells(options: RunCellsOptions): Promise<RunEnd> {
  const { kernel, state, stop, plan } = options;
  const router = createCellRouter({ ...options, byArrival: kernel.spec.dialect === 'deno' });
  kernel.listen(router.receive);
  let last: RunningCell | undefined;
  for (const target of state.cells) {
    const { cell } = target;
    if (!plan.isSelected(cell)) {
      state.update(target, { status: 'skipped' });
      continue;
    }
    if (keepEarlier(options, target)) continue;
    const reason = stop.reason();
    if (reason !== undefined) return verdictOf(reason);
    if (kernel.hasDied()) return await diedBetween(options, last);
    const end = await runOne(options, router, target);
    last = target;
    const at = target.record;
    if (end.isCleanExit) return { status: 'succeeded', isStoppedEarly: true };
    if (end.status === 'not_run') return { status: 'failed', error: end.error, at };
    if (end.status !== 'succeeded') return { status: end.status satisfies RunStatus, error: end.error, at };
  }
  return { status: 'succeeded' };
}

/** Takes over what a `run-once` cell showed when it succeeded in the run that is resumed. */
function keepEarlier({ plan, state, onChange }: RunCellsOptions, target: RunningCell): boolean {
  const { cell } = target;
  const earlier = hasTag(cell, runOnceTag) ? plan.resume?.earlierOf(cell) : undefined;
  if (earlier === undefined) return false;
  cell.outputs.push(...structuredClone(earlier.outputs));
  state.update(target, { status: 'succeeded', replay: 'kept', executionCount: earlier.execution_count });
  onChange();
  return true;
}

/** Whether a cell that had succeeded before shows the same again. */
function compareReplay({ plan, state }: RunCellsOptions, cell: CodeCell, index: number) {
  const earlier = plan.resume?.earlierOf(cell);
  if (earlier === undefined) return undefined;
  if (isSameOutput(earlier.outputs, cell.outputs)) return 'same';
  state.warn(`cells[${index}]: shows something else than in the run that was resumed`);
  return 'changed';
}

async function runOne(options: RunCellsOptions, router: CellRouter, target: RunningCell): Promise<CellEnd> {
  const { state, clock, outputs, plan, emit, onChange } = options;
  const { cell, record } = target;
  const { index, id } = record;
  const startedMs = clock.monotonic();
  state.update(target, { status: 'running', startedAtMs: clock.now() });
  emit({ type: 'cell:started', index, id });
  onChange();
  const cellOutputs = outputs.forCell(cell.outputs);
  router.begin(index, cellOutputs);
  const mayFail = hasTag(cell, mayFailTag);
  const cellTimeoutMs = plan.timeoutMsOf(cell) ?? options.cellTimeoutMs;
  const end = await runCell({ ...options, cell, outputs: cellOutputs, router, cellTimeoutMs, mayFail });
  const durationMs = Math.round(clock.monotonic() - startedMs);
  const { status, error, executionCount, isErrorExpected, times } = end;
  const replay = status === 'succeeded' ? compareReplay(options, cell, index) : undefined;
  const counts = cellOutputs.counts();
  state.update(target, { status, error, executionCount, isErrorExpected, times, replay, durationMs, ...counts });
  if (!end.isOutputComplete) state.warn(`cells[${index}]: the kernel never confirmed that all output had come`);
  emit({ type: 'cell:finished', index, id, status, durationMs });
  onChange();
  return end;
}

async function diedBetween({ kernel, redactor }: RunCellsOptions, last: RunningCell | undefined): Promise<RunEnd> {
  const when = last === undefined ? 'before the first cell' : 'between two cells';
  const { status, error } = verdictOfExit(await kernel.died, kernel.logTail(), when);
  return { status, error: redactedError(error, redactor), at: last?.record };
}
