import type { Endpoint } from './endpoint.ts';

/** One instance of an origin, with what is known of it. */
export interface Host extends Endpoint {
  /** Calls in progress. */
  inFlight: number;
  /** Moving average of the time to the first response, in ms; fades while nothing comes in. */
  latencyMs: number;
  /** Monotonic ms of the last sample; -Infinity before the first. */
  sampledAt: number;
  /** Failures since the last success. */
  consecutiveErrors: number;
  /** Monotonic ms of the last failure; -Infinity before the first. */
  failedAt: number;
  /** Outcomes since the last sweep. */
  total: number;
  failed: number;
  /** Monotonic ms until which it gets no calls; 0 = it does. */
  ejectedUntil: number;
  /** How often it was ejected of late: each time makes the next one longer. */
  ejections: number;
}

/** An instance of which nothing is known yet. */
export function createHost({ address, zone }: Endpoint): Host {
  return {
    ...{ address, zone, inFlight: 0, latencyMs: 0, sampledAt: Number.NEGATIVE_INFINITY, consecutiveErrors: 0 },
    ...{ failedAt: Number.NEGATIVE_INFINITY, total: 0, failed: 0, ejectedUntil: 0, ejections: 0 },
  };
}

/** A sample loses its weight to 1/e in this time, in ms. */
const memoryMs = 10_000;

/** Takes a latency into the average: the longer ago the last sample, the more the new one weighs. */
export function addLatency(host: Host, latencyMs: number, now: number): void {
  const weight = Number.isFinite(host.sampledAt) ? 1 - Math.exp(-(now - host.sampledAt) / memoryMs) : 1;
  // A burst of samples at one instant still counts.
  const least = 0.05;
  host.latencyMs += (latencyMs - host.latencyMs) * Math.max(weight, least);
  host.sampledAt = now;
}

/** A call without an answer took at least so long: counts when that is more than is known already, up to 10 s. */
export function addLeastLatency(host: Host, leastMs: number, now: number): void {
  const least = Math.min(leastMs, memoryMs);
  if (least > latencyNow(host, now)) addLatency(host, least, now);
}

/** The average as it counts now: an old figure fades, so that a host that was slow is tried again. */
export function latencyNow(host: Host, now: number): number {
  return host.latencyMs * Math.exp(-(now - host.sampledAt) / memoryMs);
}

/** How long a failure keeps calls away, to 1/e, in ms: a host must be tried again before it can be well again. */
const grudgeMs = 500;

/** Factor on the load of a host that failed just now: one that fails at once must not look like a fast one. */
export function failurePenalty(host: Host, now: number): number {
  if (host.consecutiveErrors === 0) return 1;
  return 1 + host.consecutiveErrors * Math.exp(-(now - host.failedAt) / grudgeMs);
}
