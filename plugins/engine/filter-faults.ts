import type { Call } from '../../server/core/call.ts';
import type { Clock } from '../../server/core/clock.ts';
import { Status, statusWords } from './call/filter-status.ts';
import type { FilterMetrics } from './filter-metrics.ts';
import type { LoadedFilter } from './load/loaded-filter.ts';

/** Counts and logs what goes wrong in filters. */
export interface FilterFaults {
  /** `isThrown`: the call ends with it as INTERNAL, which server/rpc logs. */
  failed(filter: LoadedFilter, status: Status, call: Call, error: unknown, isThrown: boolean): void;
  /** The filter held the thread for long in one run, in ms: every other call waited. */
  blocked(filter: LoadedFilter, call: Call, heldMs: number): void;
  /** A result came after its time-out. */
  late(filter: LoadedFilter): void;
}

const logIntervalMs = 1000;

/** Every fault is counted; each filter logs at most one line a second, with the number of those left out. */
export function createFilterFaults(clock: Clock, metrics: FilterMetrics): FilterFaults {
  const logged = new WeakMap<LoadedFilter, { nextAt: number; suppressed: number }>();

  function log(filter: LoadedFilter, status: Status, callId: string, error: unknown): void {
    const now = clock.monotonic();
    const entry = logged.get(filter) ?? { nextAt: Number.NEGATIVE_INFINITY, suppressed: 0 };
    logged.set(filter, entry);
    if (now < entry.nextAt) {
      entry.suppressed++;
      return;
    }
    const { status: word, detail } = statusWords(status);
    const policy = filter.failurePolicy;
    filter.log.error('filter failed', {
      call_id: callId,
      status: word,
      detail,
      policy,
      left_out: entry.suppressed,
      error,
    });
    entry.nextAt = now + logIntervalMs;
    entry.suppressed = 0;
  }

  return {
    failed: (filter, status, call, error, isThrown) => {
      if (status === Status.timedOut) filter.counts.timedOut++;
      else if (status === Status.overloaded) filter.counts.overloaded++;
      else filter.counts.failed++;
      filter.quarantine?.failed();
      metrics.failed(filter, status);
      if (!isThrown) log(filter, status, call.id, error);
    },
    blocked: (filter, call, heldMs) => {
      filter.counts.blocked++;
      metrics.blocked(filter, heldMs);
      filter.log.warn('filter held the event loop', { call_id: call.id, held_ms: Math.round(heldMs) });
    },
    late: (filter) => {
      filter.counts.late++;
      metrics.late(filter);
    },
  };
}
