import type { Random } from '../../../server/core/random.ts';

/** Throughput of a link, second by second; from the end it begins anew. */
export interface ThroughputTrace {
  readonly name: string;
  /** Bits a second in each second; at least one of them is positive. */
  readonly bps: readonly number[];
}

export interface LinkModel {
  readonly name: string;
  readonly meanBps: number;
  /** Spread of the logarithm: 0.2 is a quiet cable, 1 a moving phone. */
  readonly sigma: number;
  /** How much of a second's deviation the next one keeps. */
  readonly memory: number;
  /** Chance a second that the link is gone for `outageSeconds`. */
  readonly outageChance: number;
  readonly outageSeconds: number;
}

/** Links that a ladder must serve. */
export const linkModels: readonly LinkModel[] = [
  { name: 'cable', meanBps: 20e6, sigma: 0.2, memory: 0.9, outageChance: 0, outageSeconds: 0 },
  { name: 'home radio', meanBps: 5e6, sigma: 0.5, memory: 0.9, outageChance: 0, outageSeconds: 0 },
  { name: 'phone', meanBps: 2e6, sigma: 0.7, memory: 0.93, outageChance: 0.002, outageSeconds: 4 },
  { name: 'train', meanBps: 0.9e6, sigma: 0.9, memory: 0.95, outageChance: 0.006, outageSeconds: 8 },
];

/** A normal draw of mean 0 and deviation 1 (Box-Muller). */
function normal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
  return radius * Math.cos(2 * Math.PI * random.next());
}

/** A trace of a link: log-normal with memory, whose mean is the model's, and outages. The same seed gives the same. */
export function makeTrace(model: LinkModel, seconds: number, random: Random): ThroughputTrace {
  const { sigma, memory } = model;
  const bps: number[] = [];
  let level = sigma * normal(random);
  let outage = 0;
  while (bps.length < seconds) {
    if (outage === 0 && random.next() < model.outageChance) outage = model.outageSeconds;
    // Half the variance is taken off, so that the mean of the exponential is 1.
    bps.push(outage > 0 ? 0 : model.meanBps * Math.exp(level - sigma ** 2 / 2));
    outage = Math.max(0, outage - 1);
    level = memory * level + Math.sqrt(1 - memory ** 2) * sigma * normal(random);
  }
  if (!bps.some((rate) => rate > 0)) bps[0] = model.meanBps;
  return { name: model.name, bps };
}

/** Seconds that `bytes` take from `start` on, seconds of the trace. */
export function downloadSeconds(trace: ThroughputTrace, start: number, bytes: number): number {
  let bits = bytes * 8;
  let at = start;
  for (;;) {
    const second = Math.floor(at);
    const rate = trace.bps[second % trace.bps.length] ?? 0;
    const left = second + 1 - at;
    if (rate * left >= bits) return at + (rate > 0 ? bits / rate : 0) - start;
    bits -= rate * left;
    at = second + 1;
  }
}
