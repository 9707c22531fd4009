import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

/** Where a private Redis listens. */
export type RedisAddress = { readonly socketPath: string } | { readonly port: number; readonly password: string };

const addressFile = 'address.json';
/** Longest path of a unix socket that every platform takes (macOS: 104 bytes with the closing zero). */
const maxSocketPathBytes = 100;

/** A socket in the folder, or a free local port with a password where its path would be too long. */
export async function chooseAddress(dir: string, choosePort: () => Promise<number>): Promise<RedisAddress> {
  // A name of its own: a former Redis that is about to end removes its socket, and must not remove ours.
  const socketPath = join(dir, `redis-${randomBytes(3).toString('hex')}.sock`);
  if (Buffer.byteLength(socketPath) <= maxSocketPathBytes) return { socketPath };
  return { port: await choosePort(), password: randomBytes(24).toString('hex') };
}

/** A local port that nobody listens on at this moment. */
export function findUnusedPort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer();
  server.on('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
  });
  return promise;
}

/** Keeps the address for workers and the next owner, in one step: nobody must find half of it. */
export async function storeAddress(dir: string, address: RedisAddress): Promise<void> {
  const path = join(dir, addressFile);
  await writeFile(`${path}.new`, JSON.stringify(address), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** The address stored last; undefined when there is none or it cannot be read. */
export async function readAddress(dir: string): Promise<RedisAddress | undefined> {
  const stored = await readFile(join(dir, addressFile), 'utf8').catch(() => undefined);
  if (stored === undefined) return undefined;
  try {
    const { socketPath, port, password } = JSON.parse(stored) as Readonly<Record<string, unknown>>;
    if (typeof socketPath === 'string') return { socketPath };
    return typeof port === 'number' && typeof password === 'string' ? { port, password } : undefined;
  } catch {
    // Cut short by a crash or a full disk: nobody listens at half an address.
    return undefined;
  }
}

/** The address as the clients of Redis take it. */
export function urlOf(address: RedisAddress): string {
  return 'socketPath' in address
    ? `unix:${address.socketPath}`
    : `redis://:${address.password}@127.0.0.1:${address.port}`;
}
