/**
 * Time, injected everywhere that times anything, so that tests move it by hand and never sleep.
 * `now` is Unix time in ms; `monotonic` is ms from an arbitrary start and never goes back.
 */
export interface Clock {
  now(): number;
  monotonic(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `ms` unless the returned function was called; does not keep the process alive. */
  schedule(ms: number, run: () => void): () => void;
}

/** The longest time that a timer of Node takes, in ms; it takes a longer one for 1. */
const maxTimerMs = 2 ** 31 - 1;

/** As setTimeout, for any time; `isKeeping`: it keeps the process alive. The returned function cancels. */
function startTimer(ms: number, run: () => void, isKeeping: boolean): () => void {
  let timer: NodeJS.Timeout | undefined;
  const arm = (leftMs: number) => {
    timer = leftMs > maxTimerMs ? setTimeout(() => arm(leftMs - maxTimerMs), maxTimerMs) : setTimeout(run, leftMs);
    if (!isKeeping) timer.unref();
  };
  arm(ms);
  return () => clearTimeout(timer);
}

/** The clock of the machine: wall time of `Date`, monotonic time since the process began. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = () => {
        cancel();
        reject(signal?.reason);
      };
      const wake = () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const cancel = startTimer(ms, wake, true);
      signal?.addEventListener('abort', onAbort, { once: true });
    }),
  schedule: (ms, run) => startTimer(ms, run, false),
};
