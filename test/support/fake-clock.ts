import type { Clock } from '../../server/core/clock.ts';

export interface FakeClock extends Clock {
  /** Moves time forward and runs what falls due on the way, in order; pending promises run between the steps. */
  advance(ms: number): Promise<void>;
  /** Sets the wall time forward by a jump, as another setting of the clock would: no timer falls due by it. */
  skip(ms: number): void;
  /** Timers and sleeps that wait. */
  readonly waiting: number;
}

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** A clock that stands still until it is told to move; `now` starts at `startMs`, `monotonic` at 0. */
export function createFakeClock(startMs = Date.UTC(2026, 0, 1)): FakeClock {
  let elapsed = 0;
  let skippedMs = 0;
  const timers = new Set<Timer>();
  const schedule = (ms: number, run: () => void) => {
    const timer = { at: elapsed + Math.max(0, ms), run };
    timers.add(timer);
    return () => void timers.delete(timer);
  };
  // Sets keep insertion order, so of two timers due at once the older one is found first.
  const earliest = () => [...timers].reduce<Timer | undefined>((a, b) => (a && a.at <= b.at ? a : b), undefined);

  return {
    now: () => startMs + elapsed + skippedMs,
    monotonic: () => elapsed,
    schedule,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason);
          return;
        }
        const cancel = schedule(ms, () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        });
        const onAbort = () => {
          cancel();
          reject(signal?.reason);
        };
        signal?.addEventListener('abort', onAbort, { once: true });
      }),
    advance: async (ms) => {
      const end = elapsed + ms;
      for (let next = earliest(); next && next.at <= end; next = earliest()) {
        timers.delete(next);
        elapsed = next.at;
        next.run();
        await settled();
      }
      elapsed = end;
      await settled();
    },
    skip: (ms) => {
      skippedMs += ms;
    },
    get waiting() {
      return timers.size;
    },
  };
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
