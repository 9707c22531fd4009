import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Random } from '../../server/core/random.ts';

/** Ports held for one kernel start. */
export interface ReservedPorts {
  readonly ports: readonly number[];
  /** Lets other starts of this process choose them again; call once the kernel has bound them or died. */
  release(): void;
}

// Below the usual ephemeral range (32768-60999): no outgoing connection takes one of these ports between our check
// and the kernel's bind, and a client that retries before the kernel listens cannot connect to itself.
const lowest = 20_000;
const count = 12_000;
const maxTries = 1_000;

/** Ports that another start in this process has chosen but whose kernel does not listen yet. */
const reserved = new Set<number>();

/**
 * Chooses free TCP ports on 127.0.0.1. The kernel binds them itself a moment later, so another process may be faster:
 * on "address in use" the caller tries again with new ones.
 */
export async function reserveLoopbackPorts(wanted: number, random: Random): Promise<ReservedPorts> {
  const used = await portsInUse();
  const isFree = used === undefined ? canListen : (port: number) => !used.has(port);
  const ports: number[] = [];
  const release = () => {
    for (const port of ports) reserved.delete(port);
  };
  for (let tries = 0; ports.length < wanted && tries < maxTries; tries++) {
    const port = lowest + Math.floor(random.next() * count);
    if (reserved.has(port)) continue;
    reserved.add(port);
    if (await isFree(port)) ports.push(port);
    else reserved.delete(port);
  }
  if (ports.length === wanted) return { ports, release };
  release();
  throw new Error(`no ${wanted} free loopback ports between ${lowest} and ${lowest + count}`);
}

/**
 * The local ports of all TCP sockets, by the system's own list: it costs a read, where trying to listen costs the load
 * of the network modules. Undefined where there is no such list.
 */
async function portsInUse(): Promise<Set<number> | undefined> {
  try {
    const lists = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/self/net/${name}`, 'latin1')));
    return new Set(lists.flatMap(localPorts));
  } catch {
    return undefined;
  }
}

/** Each line: number, `local address:port` and `remote address:port` in hex, … */
function localPorts(list: string): number[] {
  return [...list.matchAll(/^ *\d+: [0-9A-F]+:([0-9A-F]{4}) /gm)].map(([, port = '']) => Number.parseInt(port, 16));
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
