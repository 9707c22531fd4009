/** How many calls a key may make. */
export interface SharedRate {
  readonly ratePerSecond: number;
  /** Calls that may come at once after a pause. */
  readonly burst: number;
}

/** Rates that several servers share: what one of them grants, all of them count. */
export interface SharedRates {
  /**
   * Takes one call of `key`: 0 when it may be made, else the ms until it may. Rejects when the shared state cannot be
   * asked; after how long is the caller's business.
   */
  take(key: string, rate: SharedRate): Promise<number>;
}
