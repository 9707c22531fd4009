import type { AbrRule, AbrState } from './simulate-session.ts';

/** Mean of throughput samples, each weighing as long as its download took, that forgets with a half-life in seconds. */
function createAverage(halfLifeSeconds: number) {
  let estimate = 0;
  let weight = 0;
  return {
    add: (seconds: number, bps: number) => {
      const kept = 0.5 ** (seconds / halfLifeSeconds);
      estimate = estimate * kept + bps * (1 - kept);
      weight += seconds;
    },
    /** Corrected for the zero it started from. */
    get: () => estimate / (1 - 0.5 ** (weight / halfLifeSeconds)),
  };
}

/** Throughput as a player with two half-lives sees it: the lower of both, `initialBps` before the first sample. */
function createEstimate(fastSeconds: number, slowSeconds: number, initialBps: number) {
  const fast = createAverage(fastSeconds);
  const slow = createAverage(slowSeconds);
  let samples = 0;
  return {
    add: (seconds: number, bps: number) => {
      samples++;
      fast.add(seconds, bps);
      slow.add(seconds, bps);
    },
    get: () => (samples === 0 ? initialBps : Math.min(fast.get(), slow.get())),
  };
}

/** The highest rendition within a rate; the lowest when none is. */
function highestWithin(rates: readonly number[], limits: (index: number) => number): number {
  for (let index = rates.length - 1; index > 0; index--) if ((rates[index] ?? 0) <= limits(index)) return index;
  return 0;
}

/**
 * The rule of hls.js: half-lives of 3 s and 9 s, 0.95 of the estimate to stay and 0.7 to go up; a rendition must fit
 * by its peak while less than `starvedSeconds` are buffered, by its mean otherwise.
 */
export function throughputRule(starvedSeconds = 4): AbrRule {
  const estimate = createEstimate(3, 9, 500_000);
  return {
    name: 'throughput',
    observe: (seconds, bps) => estimate.add(seconds, bps),
    choose: ({ renditions, bufferSeconds, current }) => {
      const rates = renditions.map(({ peakBps, averageBps }) =>
        bufferSeconds < starvedSeconds ? peakBps : averageBps,
      );
      const bps = estimate.get();
      return highestWithin(rates, (index) => bps * (current === undefined || index > current ? 0.7 : 0.95));
    },
  };
}

/** Buffer in seconds below which BOLA is not asked. */
const leastBufferSeconds = 10;

/** What BOLA gives each rendition at a buffer level: (Vp (u - 1 + gp) - buffer) / bitrate, u the log of the bitrate. */
export function bolaScores(ratesBps: readonly number[], bufferSeconds: number): number[] {
  const lowest = ratesBps[0] ?? 1;
  const utilities = ratesBps.map((rate) => Math.log(rate / lowest) + 1);
  const stableSeconds = Math.max(12, leastBufferSeconds + 2 * ratesBps.length);
  const gp = ((utilities.at(-1) ?? 1) - 1) / (stableSeconds / leastBufferSeconds - 1);
  const vp = gp > 0 ? leastBufferSeconds / gp : 0;
  return ratesBps.map((rate, index) => (vp * ((utilities[index] ?? 1) - 1 + gp) - bufferSeconds) / rate);
}

/**
 * BOLA as dash.js runs it: throughput (0.9 of it) until the buffer has its least fill, then the best BOLA score. Below
 * that a rendition must also arrive within 0.7 of what is buffered; above it a step up goes no further than the
 * throughput, or BOLA would swing around a rate between two renditions.
 */
export function bolaRule(): AbrRule {
  const estimate = createEstimate(3, 8, 500_000);
  const choose = ({ renditions, bufferSeconds, segmentSeconds, current = 0 }: AbrState): number => {
    const rates = renditions.map((rendition) => rendition.averageBps);
    const byThroughput = highestWithin(rates, () => estimate.get() * 0.9);
    if (bufferSeconds < leastBufferSeconds) {
      const arrives = (estimate.get() * 0.7 * bufferSeconds) / segmentSeconds;
      return bufferSeconds === 0
        ? byThroughput
        : Math.min(
            byThroughput,
            highestWithin(rates, () => arrives),
          );
    }
    const scores = bolaScores(rates, bufferSeconds);
    const best = scores.indexOf(Math.max(...scores));
    return best > current && best > byThroughput ? Math.max(byThroughput, current) : best;
  };
  return { name: 'bola', observe: (seconds, bps) => estimate.add(seconds, bps), choose };
}
