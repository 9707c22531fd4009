import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Clock, systemClock } from '../server/core/clock.ts';
import type { Config } from '../server/core/config/settings.ts';
import type { Logger } from '../server/core/log.ts';

/** How many workers there are, and what they are started with. */
export interface WorkerPoolOptions {
  /** Processes that are kept running. */
  readonly count: number;
  /** Given to each worker; REDIS_URL must name the Redis of the server. */
  readonly config: Config;
  readonly log: Logger;
  /** The process environment: workers inherit PATH, locale, temp folder, proxies and OTEL_* of it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
  /** File to run. Default: workers/pooled-worker.ts. */
  readonly entry?: string;
  /** Options of Node. Default: those of this process, so that telemetry is preloaded there too. */
  readonly execArgv?: readonly string[];
}

/** The worker processes of a server. */
export interface WorkerPool {
  /** Process ids of the workers that live at this moment. */
  pids(): number[];
  /** Starts of workers that had died. */
  restarts(): number;
  /** SIGTERM to all; after the deadline SIGKILL to each and its process group. Idempotent. */
  close(deadlineMs: number): Promise<void>;
}

const minBackoffMs = 100;
const maxBackoffMs = 10_000;
/** A run longer than this was healthy: the next restart begins at the least backoff again. */
const healthyRunMs = 10_000;
/** The last ones say where kernels of notebooks are found. */
const inherited =
  /^(PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|NODE_OPTIONS|NODE_EXTRA_CA_CERTS|OTEL_\w+|AWS_\w+|DENO_DIR|JUPYTER_\w+|XDG_DATA_HOME|VIRTUAL_ENV|CONDA_PREFIX)$/;

/** Runs `count` worker processes, each leading a process group of its own, and replaces those that die. */
export function startWorkerPool(options: WorkerPoolOptions): WorkerPool {
  const { count, log, clock = systemClock } = options;
  const closing = new AbortController();
  const living = new Map<number, ChildProcess>();
  let restarts = 0;

  const keepRunning = async (name: string): Promise<void> => {
    let backoffMs = minBackoffMs;
    while (!closing.signal.aborted) {
      const startedAt = clock.monotonic();
      const child = startWorker(options, name);
      if (child.pid !== undefined) living.set(child.pid, child);
      const end = await ended(child);
      if (child.pid !== undefined) {
        living.delete(child.pid);
        // Programs that the worker had started and that outlived it.
        killGroup(child.pid);
      }
      if (closing.signal.aborted) return;
      if (clock.monotonic() - startedAt > healthyRunMs) backoffMs = minBackoffMs;
      log.warn('worker ended, restarting', { worker: name, pid: child.pid, ...end, restart_in_ms: backoffMs });
      await clock.sleep(backoffMs, closing.signal).catch(() => {});
      backoffMs = Math.min(backoffMs * 2, maxBackoffMs);
      restarts++;
    }
  };
  const running = Promise.all(Array.from({ length: count }, (_, index) => keepRunning(`worker-${index + 1}`)));

  return {
    pids: () => [...living.keys()],
    restarts: () => restarts,
    close: async (deadlineMs) => {
      closing.abort();
      for (const child of living.values()) child.kill('SIGTERM');
      const done = new AbortController();
      const late = clock.sleep(deadlineMs, done.signal).then(
        () => {
          for (const pid of living.keys()) {
            log.warn('worker did not end in time', { pid });
            killGroup(pid);
          }
        },
        () => {},
      );
      await running;
      done.abort();
      await late;
    },
  };
}

function startWorker(options: WorkerPoolOptions, name: string): ChildProcess {
  const entry = options.entry ?? fileURLToPath(new URL('pooled-worker.ts', import.meta.url));
  const env = Object.fromEntries(Object.entries(options.env).filter(([key]) => inherited.test(key)));
  const child = spawn(process.execPath, [...(options.execArgv ?? process.execArgv), entry], {
    env,
    // Leads its own group: a Ctrl-C at the terminal reaches the server alone, which ends its workers in order.
    detached: true,
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  child.stdin?.on('error', () => {});
  // Left open: its end tells the worker that the server is gone.
  const secrets = secretsOf(options);
  child.stdin?.write(`${JSON.stringify({ config: options.config, name, secrets })}\n`);
  return child;
}

function ended(child: ChildProcess): Promise<{ code: number | null; signal: string | null; error?: string }> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', (error) => resolve({ code: null, signal: null, error: error.message }));
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody is left in the group.
  }
}

/** The variables that notebooks may take as secrets; not in the workers' environment, where others could read them. */
function secretsOf({ config, env }: WorkerPoolOptions): Record<string, string> {
  const names = config.NOTEBOOK_SECRETS.split(',').map((name) => name.trim());
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = env[name];
      return name === '' || value === undefined ? [] : [[name, value]];
    }),
  );
}
