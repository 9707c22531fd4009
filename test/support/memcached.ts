import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { findFreePort } from './free-port.ts';
import { waitUntil } from './wait-until.ts';

export interface TestMemcached {
  readonly port: number;
  readonly url: string;
  readonly process: ChildProcess;
  /** SIGKILL (it works on a stopped process too), and waits until it is gone. */
  stop(): Promise<void>;
}

/** Starts a real memcached on 127.0.0.1 and resolves once it accepts connections; `extra` are further options. */
export async function startMemcached(
  options: { port?: number; extra?: readonly string[] } = {},
): Promise<TestMemcached> {
  const port = options.port ?? (await findFreePort());
  const args = ['-l', '127.0.0.1', '-p', String(port), '-U', '0', '-t', '1', ...(options.extra ?? [])];
  // As root it wants to be told so.
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : [];
  const child = spawn('memcached', [...args, ...user], { stdio: 'ignore' });
  await once(child, 'spawn');
  const ended = once(child, 'exit');
  await waitUntil(`memcached listens on ${port}`, () => accepts(port));
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return { port, url: `memcached://127.0.0.1:${port}`, process: child, stop };
}

function accepts(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, '127.0.0.1');
  socket.on('connect', () => resolve(true));
  socket.on('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}
