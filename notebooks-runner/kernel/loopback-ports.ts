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

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
