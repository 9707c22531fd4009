import { promises as dns } from 'node:dns';
import { isIPv6 } from 'node:net';
import { type Clock, type Logger, messageOf } from '../engine/filter.ts';
import { type Discovery, type Endpoint, normalEndpoints, parseEndpoints } from './endpoint.ts';
import { watchFile } from './watched-file.ts';

interface DiscoveryDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** Instances that never change. */
export function createStaticDiscovery(endpoints: readonly Endpoint[]): Discovery {
  return { start: async (changed) => changed(normalEndpoints(endpoints)), close: () => {} };
}

/** Instances of a JSON file (`parseEndpoints`), followed as it changes. */
export function createFileDiscovery(path: string, { clock, log }: DiscoveryDeps): Discovery {
  let close = () => {};
  return {
    start: async (changed) => {
      close = await watchFile({ path, parse: parseEndpoints, changed, clock, log });
    },
    close: () => close(),
  };
}

/** One address of a name. */
export interface ResolvedAddress {
  readonly address: string;
  readonly ttlSeconds: number;
}

/** Looks a name up; rejects when it cannot be resolved. */
export type Resolve = (host: string) => Promise<readonly ResolvedAddress[]>;

/** Answers that say that there are no such addresses; without one of them nothing is known of them. */
const noneCodes: ReadonlySet<string> = new Set([dns.NODATA, dns.NOTFOUND]);

/**
 * Addresses by DNS, of both families. When the servers answer for one alone, the other keeps its last addresses: a lost
 * datagram must not take half of the instances out. Names that only the hosts file knows are found too and hold for
 * 30 s. Rejects when there is no address.
 */
export function createSystemResolve(resolver: Pick<dns.Resolver, 'resolve4' | 'resolve6'> = dns): Resolve {
  let last: readonly (readonly ResolvedAddress[])[] = [];
  return async (host) => {
    const asked = [resolver.resolve4(host, { ttl: true }), resolver.resolve6(host, { ttl: true })];
    const results = await Promise.allSettled(asked);
    const found = results.map((result, index): readonly ResolvedAddress[] => {
      if (result.status === 'fulfilled') return result.value.map(({ address, ttl }) => ({ address, ttlSeconds: ttl }));
      if (noneCodes.has(Object(result.reason).code)) return [];
      return (last[index] ?? []).map(({ address }) => ({ address, ttlSeconds: 0 }));
    });
    if (results.some(({ status }) => status === 'fulfilled')) {
      last = found;
      return found.flat();
    }
    return (await dns.lookup(host, { all: true })).map(({ address }) => ({ address, ttlSeconds: 30 }));
  };
}

interface DnsDiscoveryOptions extends DiscoveryDeps {
  readonly host: string;
  readonly port: number;
  readonly zone: string;
  /** Default `createSystemResolve()`. */
  readonly resolve?: Resolve;
  /** Bounds of the time between two look-ups, in ms; default 5000 and 300,000. */
  readonly minTtlMs?: number;
  readonly maxTtlMs?: number;
  /** Longest wait of the start for the first answer, in ms; default 3000. Without one it starts with no instances. */
  readonly firstWaitMs?: number;
}

/**
 * All addresses of a name, looked up again when the shortest TTL ends. While the name cannot be resolved the last
 * addresses stay; at the start there are then none.
 */
export function createDnsDiscovery(options: DnsDiscoveryOptions): Discovery {
  const { host, port, zone, clock, log, resolve = createSystemResolve(), firstWaitMs = 3000 } = options;
  const { minTtlMs = 5000, maxTtlMs = 300_000 } = options;
  let isClosed = false;
  let cancel = () => {};
  let last = '';

  async function look(changed: (endpoints: readonly Endpoint[]) => void): Promise<void> {
    let waitMs = minTtlMs;
    try {
      const found = await resolve(host);
      if (isClosed) return;
      const shortest = Math.min(...found.map(({ ttlSeconds }) => ttlSeconds * 1000));
      waitMs = Math.min(maxTtlMs, Math.max(minTtlMs, shortest));
      const endpoints = normalEndpoints(
        found.map(({ address }) => ({ address: `${isIPv6(address) ? `[${address}]` : address}:${port}`, zone })),
      );
      const text = JSON.stringify(endpoints);
      if (endpoints.length > 0 && text !== last) {
        last = text;
        changed(endpoints);
      }
    } catch (error) {
      log.error('name cannot be resolved, its last addresses stay', { host, error: messageOf(error) });
    }
    if (!isClosed) cancel = clock.schedule(waitMs, () => void look(changed));
  }

  return {
    start: async (changed) => {
      const isLate = Promise.withResolvers<void>();
      const cancelWait = clock.schedule(firstWaitMs, () => {
        log.warn('no answer to a name yet, it has no instances until then', { host });
        isLate.resolve();
      });
      await Promise.race([look(changed), isLate.promise]);
      cancelWait();
    },
    close: () => {
      isClosed = true;
      cancel();
    },
  };
}
