import type { Clock } from '../../server/core/clock.ts';
import type { ExecuteOutcome } from '../kernel/execute-reply.ts';
import type { ExecuteTimes } from '../kernel/execute-times.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { CodeCell } from '../nbformat/notebook.ts';
import type { CellOutputs } from '../outputs/cell-outputs.ts';
import type { Redactor } from '../outputs/redactor.ts';
import type { CellRouter } from './cell-router.ts';
import type { CellError, CellStatus } from './run-record.ts';
import { type StopRequest, verdictOf } from './stop-request.ts';
import { describeSyntaxError, isUnexplainedFailure } from './syntax-error.ts';
import { logLines, verdictOfExit } from './verdict-of-exit.ts';

/** How a cell ended. */
export interface CellEnd {
  readonly status: CellStatus & ('succeeded' | 'failed' | 'timed_out' | 'killed' | 'cancelled' | 'not_run');
  readonly error: CellError | undefined;
  readonly executionCount: number | null;
  /** True for an error allowed by `raises-exception`. */
  readonly isErrorExpected: boolean;
  /** True for `sys.exit(0)`, `exit()` and the like: the run ends here, successfully. */
  readonly isCleanExit: boolean;
  /** False when the kernel never confirmed that all output had come. */
  readonly isOutputComplete: boolean;
  readonly times: ExecuteTimes;
}

interface RunCellOptions {
  readonly kernel: Kernel;
  readonly cell: CodeCell;
  readonly outputs: CellOutputs;
  readonly router: CellRouter;
  readonly stop: StopRequest;
  readonly clock: Clock;
  readonly cellTimeoutMs: number | undefined;
  readonly idleTimeoutMs: number | undefined;
  /** Takes secrets out of what the kernel process wrote. */
  readonly redactor: Redactor;
  /** The cell may raise an error. */
  readonly mayFail: boolean;
}

const maxResends = 3;
const resendDelayMs = 50;
const drainQuietMs = 50;

/** Runs one cell to its end: reply, idle, and all its output; or until it is stopped or the kernel dies. */
export async function runCell(options: RunCellOptions): Promise<CellEnd> {
  const { kernel, router, stop, clock, outputs, cellTimeoutMs } = options;
  const cancelTimer =
    cellTimeoutMs === undefined
      ? () => {}
      : clock.schedule(cellTimeoutMs, () => stop.request({ kind: 'cell_timeout', timeoutMs: cellTimeoutMs }));
  const stopIdleWatch = watchIdle(options);
  const { times, ...executed } = await execute(options);
  let { outcome } = executed;
  cancelTimer();
  stopIdleWatch();
  const isOutputComplete = await kernel.barrier();
  if (kernel.hasDied()) {
    await kernel.settle(drainQuietMs);
    const exit = await kernel.died;
    // The kernel ended before the cell's output was confirmed: the cell did not end well, whatever it answered.
    outcome = { kind: 'died', exit };
  }
  const judged = judge(outcome, options);
  const end = judged.error === undefined ? judged : { ...judged, error: redactedError(judged.error, options.redactor) };
  const isOurs = stop.reason() !== undefined || outcome.kind === 'died';
  router.flush();
  if (end.error !== undefined && (isOurs || !outputs.hasError())) {
    outputs.error(end.error.ename, end.error.evalue, end.error.traceback);
  }
  return { ...end, executionCount: end.executionCount ?? router.executionCount(), isOutputComplete, times };
}

/** Ends the run when the cell puts nothing out for too long; gives the function that stops watching. */
function watchIdle({ idleTimeoutMs, router, stop, clock }: RunCellOptions): () => void {
  if (idleTimeoutMs === undefined) return () => {};
  const startedMs = clock.monotonic();
  let cancel = () => {};
  const look = () => {
    const restMs = Math.max(router.lastOutputMs(), startedMs) + idleTimeoutMs - clock.monotonic();
    if (restMs > 0) cancel = clock.schedule(restMs, look);
    else stop.request({ kind: 'idle_timeout', timeoutMs: idleTimeoutMs });
  };
  look();
  return () => cancel();
}

/** The error without secrets, which a kernel may have written into its log or its messages. */
export function redactedError({ ename, evalue, traceback }: CellError, redactor: Redactor): CellError {
  return { ename: redactor.text(ename), evalue: redactor.text(evalue), traceback: traceback.map(redactor.text) };
}

/** Sends the cell; a kernel that was still discarding requests after an earlier failure gets it again. */
async function execute({ kernel, cell, router, stop, clock, mayFail }: RunCellOptions) {
  for (let resends = 0; ; resends++) {
    const { id, ended, times } = kernel.execute(cell.source, { mayFail });
    router.bind(id);
    const outcome = await ended;
    const isAborted = outcome.kind === 'replied' && outcome.reply.status === 'aborted';
    if (!isAborted || resends === maxResends || stop.reason() !== undefined) return { outcome, times };
    await clock.sleep(resendDelayMs * (resends + 1));
  }
}

type Judgement = Omit<CellEnd, 'isOutputComplete' | 'times'>;

function judge(outcome: ExecuteOutcome, { stop, kernel, cell, mayFail }: RunCellOptions): Judgement {
  const plain = { executionCount: null, isErrorExpected: false, isCleanExit: false };
  const reason = stop.reason();
  if (reason !== undefined) return { ...plain, ...verdictOf(reason) };
  if (outcome.kind === 'died')
    return { ...plain, ...verdictOfExit(outcome.exit, kernel.logTail(), 'while the cell ran') };
  const { status, executionCount, ename, evalue, traceback, asksExit } = outcome.reply;
  if (status === 'ok')
    return { ...plain, status: 'succeeded', error: undefined, executionCount, isCleanExit: asksExit };
  if (status === 'aborted') {
    const text = 'the kernel refused the cell: it was discarding requests';
    return { ...plain, status: 'not_run', error: { ename: 'CellAborted', evalue: text, traceback: [] } };
  }
  const given = { ename, evalue, traceback };
  const error = isUnexplained(outcome) ? explained(given, cell, kernel) : given;
  const isCleanExit = ename === 'SystemExit' && ['0', '', 'None'].includes(evalue);
  if (isCleanExit) return { ...plain, status: 'succeeded', error: undefined, executionCount, isCleanExit };
  return { ...plain, status: mayFail ? 'succeeded' : 'failed', error, executionCount, isErrorExpected: mayFail };
}

function isUnexplained(outcome: ExecuteOutcome): boolean {
  return outcome.kind === 'replied' && outcome.reply.status === 'error' && isUnexplainedFailure(outcome.reply);
}

/** A syntax error, or else what the kernel's process wrote last, e.g. which module it could not load. */
function explained(given: CellError, { source }: CodeCell, { logTail }: Kernel): CellError {
  return describeSyntaxError(source) ?? { ...given, traceback: logLines(logTail()) };
}
