import type { Clock, Counters, SharedRates } from '../../engine/filter.ts';

interface SharedRateOptions {
  readonly rates: SharedRates;
  readonly ratePerSecond: number;
  readonly burst: number;
  /** Longest wait for the shared state, ms. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly counters: Counters<'unshared'>;
}

/** What the shared state says: the ms to wait, 0 for none; undefined when it cannot be asked in time. */
export type SharedTake = (key: string) => Promise<number | undefined>;

/** Asks the shared state and waits no longer than allowed: a call must not hang on a store that is away. */
export function createSharedTake(options: SharedRateOptions): SharedTake {
  const { rates, ratePerSecond, burst, timeoutMs, clock, counters } = options;
  const rate = { ratePerSecond, burst };
  return (key) =>
    new Promise((resolve) => {
      const miss = () => {
        cancel();
        counters.add('unshared');
        resolve(undefined);
      };
      let isOver = false;
      const once = (then: () => void) => {
        if (isOver) return;
        isOver = true;
        then();
      };
      const cancel = clock.schedule(timeoutMs, () => once(miss));
      rates.take(key, rate).then(
        (waitMs) =>
          once(() => {
            cancel();
            resolve(waitMs);
          }),
        () => once(miss),
      );
    });
}
