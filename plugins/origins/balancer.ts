import type { Random } from '../engine/filter.ts';
import { failurePenalty, type Host, latencyNow } from './host.ts';

/** Below this many ms hosts count as equally fast. */
const latencyFloorMs = 1;
/** A host is only preferred when it is that much better: noise must not make all calls go to one. */
const clearlyBetter = 1.5;
/** Own-zone hosts can take this much more than their share before calls leave the zone (Envoy's overprovisioning). */
const headroom = 1.4;

/** What is chosen from, and by what. */
export interface PickOptions {
  /** Hosts of the own zone, and all others. */
  readonly own: readonly Host[];
  readonly others: readonly Host[];
  readonly isUsable: (host: Host) => boolean;
  /** Addresses that were tried: taken only when there is no other. */
  readonly avoid: ReadonlySet<string>;
  /** Calls in progress at an own-zone host beyond which a less loaded host elsewhere is taken. */
  readonly spillAt: number;
  readonly random: Random;
  /** Monotonic ms. */
  readonly now: number;
}

/**
 * Power of two choices, least load by calls in progress x latency, own zone first. Calls spill to other zones as the
 * own one loses hosts (share = healthy part x 1.4) or is full. When no host is usable all are taken as usable: some
 * answer may be better than none. Undefined when there are no hosts.
 * Source: Mitzenmacher 2001; Envoy's zone-aware routing and panic mode.
 */
export function pickHost(options: PickOptions): Host | undefined {
  const { own, others, isUsable, avoid, random } = options;
  const ownUsable = usable(own, isUsable);
  const othersUsable = usable(others, isUsable);
  if (ownUsable.length + othersUsable.length === 0) return choose([...own, ...others], options);
  const near = without(ownUsable, avoid);
  const far = without(othersUsable, avoid);
  if (near.length + far.length === 0) return choose([...ownUsable, ...othersUsable], options);
  if (near.length === 0) return choose(far, options);
  if (far.length === 0) return choose(near, options);
  const keptShare = (ownUsable.length / own.length) * headroom;
  if (keptShare < 1 && random.next() >= keptShare) return choose(far, options);
  const host = choose(near, options);
  if (host === undefined || host.inFlight < options.spillAt) return host;
  const other = choose(far, options);
  return other !== undefined && other.inFlight < host.inFlight ? other : host;
}

function usable(hosts: readonly Host[], isUsable: (host: Host) => boolean): readonly Host[] {
  return hosts.every(isUsable) ? hosts : hosts.filter(isUsable);
}

function without(hosts: readonly Host[], avoid: ReadonlySet<string>): readonly Host[] {
  return avoid.size === 0 ? hosts : hosts.filter(({ address }) => !avoid.has(address));
}

function choose(hosts: readonly Host[], { random, now }: PickOptions): Host | undefined {
  const count = hosts.length;
  if (count < 2) return hosts[0];
  const at = Math.floor(random.next() * count);
  const first = hosts[at];
  const second = hosts[(at + 1 + Math.floor(random.next() * (count - 1))) % count];
  if (first === undefined || second === undefined) return first ?? second;
  const isTimed = Number.isFinite(first.sampledAt) && Number.isFinite(second.sampledAt);
  const load = (host: Host) =>
    (host.inFlight + 1) * failurePenalty(host, now) * (isTimed ? Math.max(latencyFloorMs, latencyNow(host, now)) : 1);
  return load(second) * clearlyBetter < load(first) ? second : first;
}
