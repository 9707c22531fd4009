import type { KernelTrip } from '../kernel/kernel-watch.ts';
import type { CellError, CellStatus, RunStatus } from './run-record.ts';

/** Why a run is ended from outside the notebook. */
export type StopReason =
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'run_timeout'; readonly timeoutMs: number }
  | { readonly kind: 'cell_timeout'; readonly timeoutMs: number }
  | { readonly kind: 'idle_timeout'; readonly timeoutMs: number }
  | KernelTrip;

/** The first request to end the run; later ones change nothing. */
export interface StopRequest {
  request(reason: StopReason): void;
  reason(): StopReason | undefined;
  /** Aborted at the first request. */
  readonly signal: AbortSignal;
}

/** For one run; nothing is requested yet. */
export function createStopRequest(): StopRequest {
  const controller = new AbortController();
  let first: StopReason | undefined;
  return {
    request: (reason) => {
      if (first !== undefined) return;
      first = reason;
      controller.abort();
    },
    reason: () => first,
    signal: controller.signal,
  };
}

/** How a stop shows in the record of the run and of the cell that was running. */
export interface StopVerdict {
  readonly status: RunStatus & CellStatus;
  readonly error: CellError;
}

/** How the run and its cell end for that reason; `ename` tells the limit, e.g. `CellTimeout`. */
export function verdictOf(reason: StopReason): StopVerdict {
  switch (reason.kind) {
    case 'cancelled':
      return verdict('cancelled', 'RunCancelled', 'the run was cancelled');
    case 'run_timeout':
      return verdict('timed_out', 'RunTimeout', `the run took longer than ${reason.timeoutMs} ms`);
    case 'cell_timeout':
      return verdict('timed_out', 'CellTimeout', `the cell took longer than ${reason.timeoutMs} ms`);
    case 'idle_timeout':
      return verdict('timed_out', 'IdleTimeout', `the cell put nothing out for ${reason.timeoutMs} ms`);
    case 'disk':
      return verdict(
        'killed',
        'DiskLimitExceeded',
        `the kernel filled its folders with ${reason.bytes} bytes, over the limit of ${reason.maxBytes}`,
      );
    case 'memory':
      return verdict(
        'killed',
        'MemoryLimitExceeded',
        `the kernel used ${reason.bytes} bytes of memory, over the limit of ${reason.maxBytes}`,
      );
    case 'unresponsive':
      return verdict(
        'killed',
        'KernelUnresponsive',
        `the kernel left a heartbeat unanswered for ${reason.silentMs} ms`,
      );
  }
}

function verdict(status: StopVerdict['status'], ename: string, evalue: string): StopVerdict {
  return { status, error: { ename, evalue, traceback: [] } };
}
