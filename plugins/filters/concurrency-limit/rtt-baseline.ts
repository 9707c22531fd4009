import type { Random } from '../../engine/filter.ts';

/** How the latency of an unloaded server is measured. */
export interface RttBaselineOptions {
  readonly random: Random;
  /** Windows between two probes, ±15 % by chance; default 60. */
  readonly probeEvery?: number;
  /** Most that the baseline may be of the lowest latency of the horizon, as a multiple; default 2. */
  readonly maxRise?: number;
  /** Windows that the lowest latency is remembered; default 3600, an hour at one per second. */
  readonly horizon?: number;
}

/** The latency without queueing, learned from live traffic. */
export interface RttBaseline {
  /** In ms; 0 before the first window. */
  readonly rttMs: number;
  /** A probe is on: the limit is to be held low, so that queues empty and the windows show the latency without them. */
  readonly isProbing: boolean;
  /** Too few windows yet to judge by. */
  readonly isLearning: boolean;
  /** Takes one window's mean. `isLight`: so few calls ran that the window is as good as a probe. */
  observe(rttMs: number, isLight: boolean): void;
}

/** The first windows are averaged: those alone that ended soon after the start would set it too low. */
const warmUpWindows = 5;
/** A window below the baseline moves it a fifth of the way: one lucky window must not become the measure. */
const fallShare = 0.2;
/** What a probe finds moves it half the way. */
const probeWeight = 0.5;
/** A probe's first window empties the queues, the others measure. */
const probeWindows = 3;
/** Windows until the next probe after one that found the baseline too high by more than a twentieth. */
const soon = 5;
const buckets = 60;

/**
 * Lowest latency of the last windows, in 60 buckets. Of each bucket its second lowest window counts: a probe has two
 * windows that measure, luck has one.
 */
function createLowest(horizon: number): { add(rttMs: number): void; readonly value: number } {
  const perBucket = Math.max(2, Math.ceil(horizon / buckets));
  const ring = new Float64Array(buckets).fill(Number.POSITIVE_INFINITY);
  let at = 0;
  let windows = 0;
  let first = Number.POSITIVE_INFINITY;
  return {
    add: (rttMs) => {
      if (windows === perBucket) {
        at = (at + 1) % buckets;
        ring[at] = Number.POSITIVE_INFINITY;
        windows = 0;
        first = Number.POSITIVE_INFINITY;
      }
      windows++;
      const second = ring[at] ?? Number.POSITIVE_INFINITY;
      ring[at] = Math.min(second, Math.max(first, rttMs));
      first = Math.min(first, rttMs);
    },
    get value() {
      return ring.reduce((a, b) => Math.min(a, b));
    },
  };
}

/**
 * A baseline that an overload cannot raise: it goes up only by what probes find at a low limit, a share at a time,
 * and never above a multiple of the lowest latency of the last hour. A latency that is higher whatever the limit is
 * (a slower dependency) is accepted up to that multiple within some probes, beyond it after the hour.
 */
export function createRttBaseline(options: RttBaselineOptions): RttBaseline {
  const { random, probeEvery = 60, maxRise = 2, horizon = 3600 } = options;
  const lowest = createLowest(horizon);
  let baseMs = 0;
  let windows = 0;
  let untilProbe = warmUpWindows;
  let probeLeft = 0;
  let measuredMs = 0;
  /** The baseline when the probe began. */
  let beforeMs = 0;
  /** Mean of the latest windows, as long as each was light. */
  let lightMs = 0;

  function finish(rttMs: number): void {
    const cap = rttMs > baseMs ? Math.max(baseMs, maxRise * lowest.value) : baseMs;
    baseMs = Math.min(baseMs + probeWeight * (rttMs - baseMs), cap);
    untilProbe = rttMs < 0.95 * beforeMs ? soon : Math.round(probeEvery * (0.85 + 0.3 * random.next()));
  }

  function probe(rttMs: number): void {
    if (probeLeft < probeWindows) measuredMs += rttMs / (probeWindows - 1);
    if (--probeLeft === 0) finish(measuredMs);
  }

  return {
    get rttMs() {
      return baseMs;
    },
    get isProbing() {
      return probeLeft > 0;
    },
    get isLearning() {
      return windows < warmUpWindows;
    },
    observe: (rttMs, isLight) => {
      lowest.add(rttMs);
      lightMs = !isLight ? 0 : lightMs === 0 ? rttMs : lightMs + fallShare * (rttMs - lightMs);
      if (windows < warmUpWindows) baseMs += (rttMs - baseMs) / ++windows;
      else if (rttMs < baseMs) baseMs += fallShare * (rttMs - baseMs);
      if (probeLeft > 0) probe(rttMs);
      else if (--untilProbe <= 0) {
        beforeMs = baseMs;
        if (isLight) finish(lightMs);
        // At or below the baseline there is no queue to look behind; the next window above it is probed.
        else if (rttMs > baseMs) {
          probeLeft = probeWindows;
          measuredMs = 0;
        }
      }
    },
  };
}
