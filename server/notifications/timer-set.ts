import type { Clock } from '../core/clock.ts';

/** Timers with one owner: all are cancelled together. */
export interface TimerSet {
  /** Calls `run` once after `ms`; the returned function cancels. */
  schedule(ms: number, run: () => void): () => void;
  clear(): void;
}

/** Timers of this clock. */
export function createTimerSet(clock: Clock): TimerSet {
  const cancels = new Set<() => void>();
  return {
    schedule: (ms, run) => {
      const stop = clock.schedule(ms, () => {
        cancels.delete(cancel);
        run();
      });
      const cancel = () => {
        cancels.delete(cancel);
        stop();
      };
      cancels.add(cancel);
      return cancel;
    },
    clear: () => {
      for (const cancel of [...cancels]) cancel();
    },
  };
}
