import type { Random } from '../../engine/filter.ts';

/** How long retries wait. */
export interface BackoffConfig {
  /** Upper bound of the first wait, in ms; each further one is `multiplier` times as long, none above `maxMs`. */
  readonly baseMs: number;
  readonly multiplier: number;
  readonly maxMs: number;
}

/**
 * The wait before retry `retry` (1 = the first), in ms: uniform from 0 to the bound ("full jitter"), so that callers
 * that failed together do not come back together. Source: M. Brooker, "Exponential Backoff and Jitter", 2015.
 */
export function backoffMs({ baseMs, multiplier, maxMs }: BackoffConfig, retry: number, random: Random): number {
  return random.next() * Math.min(maxMs, baseMs * multiplier ** (retry - 1));
}
