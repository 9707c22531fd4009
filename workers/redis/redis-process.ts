import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { RedisAddress } from './redis-address.ts';

/** One run of a private Redis. */
export interface RedisProcess {
  readonly pid: number;
  /** Resolves when the process has ended, with what it ended by. Never rejects. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** The end of what it printed, for error messages. */
  output(): string;
  /** Asks it to write its data and end; kills it after `deadlineMs`. */
  stop(deadlineMs: number): Promise<void>;
}

/** Path of redis-server or valkey-server on `path` (the PATH variable), or undefined. */
export function findRedisServer(path: string): string | undefined {
  for (const name of ['redis-server', 'valkey-server']) {
    for (const folder of path.split(delimiter)) {
      const file = join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {
        // Not in this folder: the next one may have it.
      }
    }
  }
  return undefined;
}

const maxOutputChars = 2000;

/** Ends the Redis given by pid once stdin closes, which happens however its owner dies. */
const watchdogScript = `cat >/dev/null
kill -TERM "$1" 2>/dev/null || exit 0
for i in 1 2 3 4 5 6 7 8 9 10; do
  kill -0 "$1" 2>/dev/null || exit 0
  sleep 0.5
done
kill -KILL "$1" 2>/dev/null`;

/**
 * Starts a Redis that keeps an append-only file in `dir` (fsync each second) and never evicts.
 * A watchdog process holds a pipe to this process and ends Redis when the pipe closes, so that kill -9
 * of the owner leaves no orphan. Both run in process groups of their own: a Ctrl-C at the terminal must not
 * end Redis before the server has drained.
 */
export function startRedisProcess(binary: string, dir: string, address: RedisAddress): RedisProcess {
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8' };
  const child = spawn(binary, ['-'], { cwd: dir, env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => {});
  child.stdin.end(redisConfig(dir, address));
  let output = '';
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString('utf8')).slice(-maxOutputChars);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);

  const { promise: exited, resolve } = Promise.withResolvers<{ code: number | null; signal: NodeJS.Signals | null }>();
  const watchdog = child.pid === undefined ? undefined : startWatchdog(child.pid, dir);
  child.on('error', (error) => {
    keep(Buffer.from(error.message));
    watchdog?.kill('SIGKILL');
    resolve({ code: null, signal: null });
  });
  child.on('exit', (code, signal) => {
    // First the watchdog, so that it never signals a recycled pid.
    watchdog?.kill('SIGKILL');
    resolve({ code, signal });
  });

  return {
    pid: child.pid ?? 0,
    exited,
    output: () => output.trim(),
    stop: async (deadlineMs) => {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

function startWatchdog(pid: number, dir: string): ChildProcess {
  const watchdog = spawn('/bin/sh', ['-c', watchdogScript, 'redis-watchdog', String(pid)], {
    cwd: dir,
    env: { PATH: '/usr/bin:/bin' },
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watchdog.stdin?.on('error', () => {});
  watchdog.on('error', () => {});
  watchdog.unref();
  return watchdog;
}

function redisConfig(dir: string, address: RedisAddress): string {
  const quoted = (text: string) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  return `${[
    'port 0',
    `unixsocket ${quoted(address.socketPath)}`,
    'unixsocketperm 700',
    `dir ${quoted(dir)}`,
    'daemonize no',
    'appendonly yes',
    'appendfsync everysec',
    'save ""',
    'maxmemory-policy noeviction',
    'loglevel warning',
  ].join('\n')}\n`;
}
