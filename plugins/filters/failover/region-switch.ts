import type { Clock, Random } from '../../engine/filter.ts';

/** Settings of the choice among regions; times in ms. */
export interface RegionSwitchConfig {
  /** Failures are counted over this time. */
  readonly windowMs: number;
  /** No verdict below so many calls in the window. */
  readonly minCalls: number;
  /** A region is left at this share of failures, in percent. */
  readonly failurePercent: number;
  /** A region that was left gets no calls for this long; twice as long each time it fails while it comes back. */
  readonly holdMs: number;
  readonly maxHoldMs: number;
  /** It comes back in steps: these shares of its calls in percent, each for `stepMs`. */
  readonly steps: readonly number[];
  readonly stepMs: number;
}

type RegionPhase = 'up' | 'down' | 'returning' | 'isolated';

/** Chooses the region for each call: the first that is well, in order of preference. */
export interface RegionSwitch {
  /** Index of the region; undefined when all are isolated. `not` holds regions that failed this call. */
  choose(not?: ReadonlySet<number>): number | undefined;
  record(region: number, isSuccess: boolean): void;
  /** Regions that get no calls whatever their health; one that is let go comes back in steps. */
  isolate(regions: ReadonlySet<number>): void;
  phase(region: number): RegionPhase;
}

interface Region {
  isIsolated: boolean;
  /** Monotonic ms: down until then; 0 = not down. */
  downUntil: number;
  /** Monotonic ms at which it began to come back; undefined when it is up or down. */
  returningSince: number | undefined;
  holdMs: number;
  windowStart: number;
  total: number;
  failed: number;
}

/** While a region comes back, fewer calls suffice for a verdict. */
const returningMinCalls = 5;

/** All regions are up at first. */
export function createRegionSwitch(
  count: number,
  config: RegionSwitchConfig,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): RegionSwitch {
  const regions: Region[] = Array.from({ length: count }, () => ({
    ...{ isIsolated: false, downUntil: 0, returningSince: undefined, holdMs: config.holdMs },
    ...{ windowStart: clock.monotonic(), total: 0, failed: 0 },
  }));

  /** Share of its calls that the region takes now, 0-1; moves it on when its time has come. */
  function shareOf(region: Region): number {
    const now = clock.monotonic();
    if (region.isIsolated) return 0;
    if (region.downUntil > 0) {
      if (now < region.downUntil) return 0;
      startReturn(region, now);
    }
    if (region.returningSince === undefined) return 1;
    const share = config.steps[Math.floor((now - region.returningSince) / config.stepMs)];
    if (share !== undefined) return share / 100;
    region.returningSince = undefined;
    region.holdMs = config.holdMs;
    return 1;
  }

  function startReturn(region: Region, now: number): void {
    region.downUntil = 0;
    region.returningSince = now;
    startWindow(region, now);
  }

  function startWindow(region: Region, now: number): void {
    region.windowStart = now;
    region.total = 0;
    region.failed = 0;
  }

  function leave(region: Region, now: number): void {
    const isRelapse = region.returningSince !== undefined;
    region.holdMs = isRelapse ? Math.min(config.maxHoldMs, region.holdMs * 2) : config.holdMs;
    region.downUntil = now + region.holdMs;
    region.returningSince = undefined;
  }

  return {
    choose: (not) => {
      let lastResort: number | undefined;
      for (const [index, region] of regions.entries()) {
        if (region.isIsolated || not?.has(index)) continue;
        const share = shareOf(region);
        if (share >= 1 || (share > 0 && random.next() < share)) return index;
        // No region is well: a returning one is better than one that is down, the nearest than a far one.
        if (lastResort === undefined || (share > 0 && shareOf(regions[lastResort] ?? region) === 0)) lastResort = index;
      }
      return lastResort;
    },
    record: (index, isSuccess) => {
      const region = regions[index];
      if (region === undefined || region.isIsolated || region.downUntil > 0) return;
      const now = clock.monotonic();
      if (now - region.windowStart >= config.windowMs) startWindow(region, now);
      region.total++;
      if (!isSuccess) region.failed++;
      const least =
        region.returningSince === undefined ? config.minCalls : Math.min(returningMinCalls, config.minCalls);
      if (region.total >= least && region.failed * 100 >= region.total * config.failurePercent) leave(region, now);
    },
    isolate: (isolated) => {
      for (const [index, region] of regions.entries()) {
        const wasIsolated = region.isIsolated;
        region.isIsolated = isolated.has(index);
        if (wasIsolated && !region.isIsolated) startReturn(region, clock.monotonic());
      }
    },
    phase: (index) => {
      const region = regions[index];
      if (region === undefined || region.isIsolated) return 'isolated';
      const share = shareOf(region);
      if (share >= 1) return 'up';
      return share === 0 && region.downUntil > 0 ? 'down' : 'returning';
    },
  };
}
