import { type FieldViolation, invalidFields } from '../core/errors.ts';
import { parseIpNetwork } from './ip-network.ts';

/** An appliance as an operator describes it. */
export interface Appliance {
  /** Bare id. */
  readonly id: string;
  /** No trailing slash. */
  readonly baseUrl: string;
  readonly site: string;
  readonly region: string;
  /** 0 = unknown. */
  readonly asn: number;
  /** CIDR networks that it is meant for. */
  readonly prefixes: readonly string[];
  /** Degrees; 0, 0 = unknown. */
  readonly latitude: number;
  readonly longitude: number;
  readonly capacityBytes: number;
  /** 0 = unknown. */
  readonly throughputBps: number;
  /** Holds everything and is used last. */
  readonly origin: boolean;
  /** Taken out of new sessions. */
  readonly draining: boolean;
}

/** Each 0 to 1 of its limit. */
export interface Load {
  readonly network: number;
  readonly disk: number;
  readonly connections: number;
}

/** What the last heartbeat of an appliance said. */
export interface Heartbeat {
  readonly bootId: string;
  /** The boot before: its late heartbeats are stale. */
  readonly previousBootId: string;
  readonly sequence: bigint;
  readonly load: Load;
  /** Unix ms of its arrival, by this service's clock. */
  readonly atMs: number;
  /** Unix ms since when it is up without a gap. */
  readonly upSinceMs: number;
  /** True from a load over 0.9 until one under 0.8. */
  readonly isOverloaded: boolean;
}

const maxUrlLength = 2_048;

/** Throws INVALID_FIELDS with all faults; gives it with the base URL normalised. */
export function checkAppliance(given: Appliance): Appliance {
  const faults: FieldViolation[] = [];
  const fault = (field: string, description: string) => faults.push({ field: `appliance.${field}`, description });
  const baseUrl = given.baseUrl.replace(/\/+$/, '');
  if (baseUrl.length > maxUrlLength) fault('base_url', `must have at most ${maxUrlLength} characters`);
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (
    url === undefined ||
    !/^https?:$/.test(url.protocol) ||
    url.search !== '' ||
    url.hash !== '' ||
    url.username !== ''
  ) {
    fault('base_url', 'must be an http or https URL without query, fragment and user');
  }
  if (given.site.length > 128) fault('site', 'must have at most 128 characters');
  if (given.region.length > 64) fault('region', 'must have at most 64 characters');
  if (given.prefixes.length > 256) fault('prefixes', 'must have at most 256 entries');
  for (const [index, prefix] of given.prefixes.entries()) {
    if (parseIpNetwork(prefix) === undefined) fault(`prefixes[${index}]`, 'must be a network such as 192.0.2.0/24');
  }
  if (!(Math.abs(given.latitude) <= 90)) fault('latitude', 'must be -90 to 90');
  if (!(Math.abs(given.longitude) <= 180)) fault('longitude', 'must be -180 to 180');
  if (!isCount(given.capacityBytes)) fault('capacity_bytes', countForm);
  if (!isCount(given.throughputBps)) fault('throughput_bps', countForm);
  if (faults.length > 0) throw invalidFields(faults);
  return { ...given, baseUrl };
}

const countForm = `must be 0 to ${Number.MAX_SAFE_INTEGER}`;

/** A greater number would not be kept, or given back, as it came. */
function isCount(value: number): boolean {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}

/** Throws INVALID_FIELDS unless every part is 0 to 1. */
export function checkLoad(load: Load): Load {
  const faults = (['network', 'disk', 'connections'] as const)
    .filter((part) => !(load[part] >= 0 && load[part] <= 1))
    .map((part) => ({ field: `load.${part}`, description: `must be 0 to 1, got ${load[part]}` }));
  if (faults.length > 0) throw invalidFields(faults);
  return load;
}

/** The greatest part of a load: what limits the appliance. */
export function greatestLoad({ network, disk, connections }: Load): number {
  return Math.max(network, disk, connections);
}
