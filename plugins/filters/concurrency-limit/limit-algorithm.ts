/** What one sampling window found. */
export interface LimitSample {
  /** Mean latency in ms. */
  readonly rttMs: number;
  /** Most calls at once, seen when one of the window's calls was admitted; itself included. */
  readonly inFlight: number;
  /** One of the window's calls ran out of time. */
  readonly isDropped: boolean;
}

/** Turns what windows find into a limit. Pure: no clock, and randomness only as given. */
export interface LimitAlgorithm {
  /** Calls that may run at once now, whole. */
  readonly limit: number;
  /** The limit without the short cut of a probe; guaranteed shares are shares of it. */
  readonly settledLimit: number;
  update(sample: LimitSample): void;
}

/** Bounds of a limit, in calls. */
export interface LimitBounds {
  readonly initial: number;
  readonly min: number;
  readonly max: number;
}

/** The value, or the bound that it is beyond. */
export function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, value));
}
