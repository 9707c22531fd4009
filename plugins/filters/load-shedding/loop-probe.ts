import { getHeapStatistics } from 'node:v8';
import type { Clock } from '../../engine/filter.ts';

/** Looks at the event loop and the heap from time to time. */
export interface LoopProbe {
  /** How late the latest timers ran, ms; the lateness of one that is overdue counts already. */
  lagMs(): number;
  /** Used share of the heap limit, 0-1. */
  heapShare(): number;
  stop(): void;
}

/** Used share of the most that the heap may grow to. */
function readHeapShare(): number {
  const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics();
  return used / most;
}

/** Weight of the newest lateness: single collections of garbage are no overload. */
const newest = 0.5;

/** Samples every `sampleMs`; the timer does not keep the process alive. */
export function startLoopProbe(clock: Clock, sampleMs: number, readHeap: () => number = readHeapShare): LoopProbe {
  let lag = 0;
  let heap = readHeap();
  let dueAt = 0;
  let cancel = () => {};
  const plan = () => {
    dueAt = clock.monotonic() + sampleMs;
    cancel = clock.schedule(sampleMs, () => {
      lag += newest * (Math.max(0, clock.monotonic() - dueAt) - lag);
      heap = readHeap();
      plan();
    });
  };
  plan();
  return {
    lagMs: () => Math.max(lag, newest * (clock.monotonic() - dueAt)),
    heapShare: () => heap,
    stop: () => cancel(),
  };
}
