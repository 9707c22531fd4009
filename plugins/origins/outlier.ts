import type { Clock } from '../engine/filter.ts';
import type { Host } from './host.ts';

/** Settings of the ejection of outliers; times in ms. */
export interface OutlierConfig {
  /** Failures in a row that eject a host. */
  readonly consecutiveErrors: number;
  /** Time between two comparisons of success rates. */
  readonly sweepMs: number;
  /** A first ejection lasts this long, the n-th n times as long, none longer than the maximum. */
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  /** Most hosts ejected at once, in percent; one may always be. */
  readonly maxEjectedPercent: number;
  /** Success rates are compared among at least so many hosts of at least so many calls each. */
  readonly minHosts: number;
  readonly minRequests: number;
  /** A host is ejected below mean - factor x standard deviation. */
  readonly stdevFactor: number;
  /** A call without an answer whose caller allowed less says nothing about its host. */
  readonly minTimeoutMs: number;
}

/** Knows which hosts of a cluster get no calls for now. */
export interface OutlierDetector {
  /** Books a call of `host`; `hosts` are all of its cluster, for the comparison. */
  record(host: Host, isSuccess: boolean, hosts: readonly Host[]): void;
  isEjected(host: Host): boolean;
  /** Ejections since the start. */
  readonly ejected: number;
}

/** Takes hosts that fail more than the others out for a while. Source: Envoy's outlier detection. */
export function createOutlierDetector(config: OutlierConfig, clock: Clock): OutlierDetector {
  let sweptAt = clock.monotonic();
  let ejected = 0;

  const isEjected = (host: Host) => host.ejectedUntil > 0 && clock.monotonic() < host.ejectedUntil;

  function eject(host: Host, hosts: readonly Host[]): void {
    const out = hosts.filter(isEjected).length;
    const most = Math.max(1, Math.floor((hosts.length * config.maxEjectedPercent) / 100));
    if (isEjected(host) || out >= most) return;
    host.ejections++;
    host.consecutiveErrors = 0;
    host.ejectedUntil = clock.monotonic() + Math.min(config.maxEjectionMs, config.baseEjectionMs * host.ejections);
    ejected++;
  }

  function sweep(hosts: readonly Host[]): void {
    sweptAt = clock.monotonic();
    for (const host of hosts) if (!isEjected(host) && host.ejections > 0 && host.failed === 0) host.ejections--;
    const busy = hosts.filter(({ total }) => total >= config.minRequests);
    if (busy.length >= config.minHosts) {
      const rates = busy.map(({ total, failed }) => (total - failed) / total);
      const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
      const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
      const threshold = mean - config.stdevFactor * Math.sqrt(variance);
      for (const [index, host] of busy.entries()) if ((rates[index] ?? 1) < threshold) eject(host, hosts);
    }
    for (const host of hosts) {
      host.total = 0;
      host.failed = 0;
    }
  }

  return {
    record: (host, isSuccess, hosts) => {
      host.total++;
      if (isSuccess) host.consecutiveErrors = 0;
      else {
        host.failed++;
        host.consecutiveErrors++;
        host.failedAt = clock.monotonic();
        if (host.consecutiveErrors >= config.consecutiveErrors) eject(host, hosts);
      }
      if (clock.monotonic() - sweptAt >= config.sweepMs) sweep(hosts);
    },
    isEjected,
    get ejected() {
      return ejected;
    },
  };
}
