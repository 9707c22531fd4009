import { isIP } from 'node:net';

/** An IP address as a number of its family's width. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly value: bigint;
}

/** A network in CIDR form: the first `bits` bits of `value`. */
export interface IpNetwork extends IpAddress {
  readonly bits: number;
}

const widths = { 4: 32, 6: 128 } as const;
const mappedPrefix = 0xffffn;

/** Reads an IPv4 or IPv6 address; an IPv4-mapped one (`::ffff:192.0.2.1`) is IPv4. Undefined when it is none. */
export function parseIpAddress(text: string): IpAddress | undefined {
  const family = isIP(text);
  if (family === 4) return { family, value: ipv4Value(text) };
  if (family !== 6) return undefined;
  const value = ipv6Value(text.replace(/%.*$/, ''));
  return value >> 32n === mappedPrefix ? { family: 4, value: value & 0xffff_ffffn } : { family, value };
}

/** Reads `address/bits`; bits beyond the prefix are dropped. Undefined when it is no network. */
export function parseIpNetwork(text: string): IpNetwork | undefined {
  const [addressText = '', bitsText = '', ...rest] = text.split('/');
  const address = parseIpAddress(addressText);
  if (address === undefined || rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(bitsText)) return undefined;
  const isMapped = address.family === 4 && addressText.includes(':');
  const bits = Number(bitsText) - (isMapped ? 96 : 0);
  const width = widths[address.family];
  if (bits < 0 || bits > width) return undefined;
  const shift = BigInt(width - bits);
  return { family: address.family, bits, value: (address.value >> shift) << shift };
}

/** Bits of the longest network that holds the address; -1 when none does. */
export function longestMatch(networks: readonly IpNetwork[], address: IpAddress): number {
  const width = widths[address.family];
  let longest = -1;
  for (const { family, bits, value } of networks) {
    if (family !== address.family || bits <= longest) continue;
    const shift = BigInt(width - bits);
    if (address.value >> shift === value >> shift) longest = bits;
  }
  return longest;
}

/** The address of a transport peer such as `127.0.0.1:5000` or `[::1]:5000`; undefined for others, e.g. a socket file. */
export function addressOfPeer(peer: string): IpAddress | undefined {
  const host = /^(?:ipv[46]:)?\[?(.*?)\]?:\d+$/.exec(peer)?.[1];
  return host === undefined ? undefined : parseIpAddress(host);
}

function ipv4Value(text: string): bigint {
  return text.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function ipv6Value(text: string): bigint {
  const lastColon = text.lastIndexOf(':');
  const tail = text.slice(lastColon + 1);
  if (tail.includes('.')) {
    const low = ipv4Value(tail);
    return ipv6Value(`${text.slice(0, lastColon + 1)}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`);
  }
  const [head = '', rest] = text.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = rest === undefined || rest === '' ? [] : rest.split(':');
  const zeros = new Array<string>(8 - before.length - after.length).fill('0');
  return [...before, ...zeros, ...after].reduce((value, part) => (value << 16n) | BigInt(`0x${part}`), 0n);
}
