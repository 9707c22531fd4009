import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { replaceFile } from '../../server/core/replace-file.ts';

/**
 * Where a private Redis listens: never a port, which another process may take while it restarts, and which would ask
 * for a password.
 */
export interface RedisAddress {
  readonly socketPath: string;
}

const addressFile = 'address.json';
/** Longest path of a unix socket that every platform takes (macOS: 104 bytes with the closing zero). */
const maxSocketPathBytes = 100;
const temporaryPrefix = 'showrunner-redis-';

/** A socket in the folder, or in a new one of this user among the temporary ones where its path would be too long. */
export async function chooseAddress(dir: string): Promise<RedisAddress> {
  // A name of its own: a former Redis that is about to end removes its socket, and must not remove ours.
  const name = `redis-${randomBytes(3).toString('hex')}.sock`;
  const isShort = (folder: string) => Buffer.byteLength(join(folder, name)) <= maxSocketPathBytes;
  if (isShort(dir)) return { socketPath: join(dir, name) };
  const folder = isShort(join(tmpdir(), `${temporaryPrefix}XXXXXX`)) ? tmpdir() : '/tmp';
  return { socketPath: join(await mkdtemp(join(folder, temporaryPrefix)), name) };
}

/** Removes the socket of a Redis that has ended, and its folder if that was made for it. */
export async function removeAddress({ socketPath }: RedisAddress): Promise<void> {
  await rm(socketPath, { force: true });
  const folder = dirname(socketPath);
  if (!basename(folder).startsWith(temporaryPrefix)) return;
  // Whatever else is in there is not ours.
  await rmdir(folder).catch(() => {});
}

/** Keeps the address for workers and the next owner, in one step: nobody must find half of it. */
export async function storeAddress(dir: string, address: RedisAddress): Promise<void> {
  // Not durable: after a power cut no Redis runs at it.
  await replaceFile(join(dir, addressFile), JSON.stringify(address), { mode: 0o600, isDurable: false });
}

/** The address stored last; undefined when there is none or it cannot be read. */
export async function readAddress(dir: string): Promise<RedisAddress | undefined> {
  const stored = await readFile(join(dir, addressFile), 'utf8').catch(() => undefined);
  if (stored === undefined) return undefined;
  try {
    const { socketPath } = JSON.parse(stored) as Readonly<Record<string, unknown>>;
    return typeof socketPath === 'string' ? { socketPath } : undefined;
  } catch {
    // Cut short by a crash or a full disk: nobody listens at half an address.
    return undefined;
  }
}

/** The address as the clients of Redis take it. */
export function urlOf({ socketPath }: RedisAddress): string {
  return `unix:${socketPath}`;
}
