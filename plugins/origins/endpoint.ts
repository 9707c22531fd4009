import { isIPv6 } from 'node:net';
import { messageOf } from '../engine/filter.ts';

/** Where one instance of an origin listens. */
export interface Endpoint {
  /** `host:port`, or `grpcs://host:port` with TLS. */
  readonly address: string;
  /** Its availability zone; empty when it is not known. */
  readonly zone: string;
}

/** Tells of the instances of an origin: once at the start, and whenever they change. */
export interface Discovery {
  /** `changed` gets each new list. Rejects when there is no first list. */
  start(changed: (endpoints: readonly Endpoint[]) => void): Promise<void>;
  close(): void;
}

const addressForm = /^(?:grpcs?:\/\/)?(?:[\w.-]{1,253}|\[([0-9a-fA-F:]{2,39})\]):(\d{1,5})$/;

/** True for `host:port`, `grpc://host:port` and, with TLS, `grpcs://host:port`; IPv6 hosts in brackets. */
export function isAddress(text: string): boolean {
  const [isFormed, ipv6, port] = addressForm.exec(text) ?? [];
  return isFormed !== undefined && Number(port) >= 1 && Number(port) <= 65_535 && (ipv6 === undefined || isIPv6(ipv6));
}

const maxEndpoints = 10_000;

/** The same instances in one order, each once: two lists of equal text are equal. */
export function normalEndpoints(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const byAddress = new Map(endpoints.map((endpoint) => [endpoint.address, endpoint]));
  return [...byAddress.values()].sort((a, b) => (a.address < b.address ? -1 : 1));
}

/** Reads `[{"address": "host:port", "zone": "a"}, …]`; the zone may be left out. Throws an Error that says what is wrong. */
export function parseEndpoints(text: string): readonly Endpoint[] {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw new Error(`no JSON: ${messageOf(error)}`, { cause: error });
  }
  if (!Array.isArray(raw)) throw new Error('expected a list of {"address", "zone"}');
  if (raw.length > maxEndpoints) throw new Error(`more than ${maxEndpoints} endpoints`);
  return normalEndpoints(raw.map(readEndpoint));
}

function readEndpoint(raw: unknown, index: number): Endpoint {
  const { address, zone = '' } = (raw ?? {}) as { address?: unknown; zone?: unknown };
  if (typeof address !== 'string' || !isAddress(address)) {
    throw new Error(`entry ${index}: address must be host:port or grpcs://host:port`);
  }
  if (typeof zone !== 'string') throw new Error(`entry ${index}: zone must be text`);
  return { address, zone };
}
