import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createDemoClients, type DemoClients } from '../../server/cli/demo/demo-clients.ts';
import { descendantsOf, isAlive, type ProcessInfo } from './processes.ts';
import { startShowrunner } from './showrunner.ts';
import { createTempDir } from './temp-dir.ts';
import { waitUntil } from './wait-until.ts';

export interface RunServerOptions {
  /** State folder, which outlives the server. Default: one of its own, removed with it. */
  readonly stateDir?: string;
  /** Worker processes. Default 2. */
  readonly workers?: number;
  /** Further settings, e.g. `{ SHOWRUNNER_DRAIN_TIMEOUT_MS: '500' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A line of a JSON log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly message: string };

/** `showrunner serve` in a process of its own. */
export interface RunningServer extends AsyncDisposable {
  readonly pid: number;
  readonly address: string;
  readonly apiKey: string;
  readonly stateDir: string;
  /** Of every service, with the administrator's key. */
  readonly clients: DemoClients;
  /** Log lines of the server and its workers so far. */
  logs(): LogLine[];
  /** All processes below it: Redis, its watchdog, workers, their ffmpeg. */
  family(): ProcessInfo[];
  workers(): ProcessInfo[];
  /** Fails when there is none at this moment. */
  redis(): ProcessInfo;
  /** Sends the signal and waits for the end of the server itself. Gives the exit code, or the signal's name. */
  kill(signal: NodeJS.Signals): Promise<number | string>;
}

/** Limit of tests that start whole servers, on a machine that others load, too. */
export const longestTestMs = 120_000;

const startTimeoutMs = 45_000;
const stopTimeoutMs = 45_000;

/** Starts the whole stack; resolves once it serves. */
export async function startServer(options: RunServerOptions = {}): Promise<RunningServer> {
  const { workers = 2, settings = {} } = options;
  const temp = options.stateDir === undefined ? await createTempDir() : undefined;
  const stateDir = options.stateDir ?? temp?.path ?? '';
  const child = startShowrunner(['serve'], {
    SHOWRUNNER_STATE_DIR: stateDir,
    SHOWRUNNER_WORKERS: String(workers),
    ...settings,
  });
  const pid = child.process.pid ?? 0;
  // Not `child.ended`: it waits for standard error, which workers share.
  const exited = once(child.process, 'exit').then(([code, signal]) => (code as number | null) ?? String(signal));
  const hasEnded = () => child.process.exitCode !== null || child.process.signalCode !== null;
  const logs = () =>
    child
      .errors()
      .split('\n')
      .filter(isJson)
      .map((line) => JSON.parse(line) as LogLine);
  const findStart = () => logs().find(({ message }) => message === 'serving');
  await waitUntil('it serves', () => findStart() !== undefined || hasEnded(), startTimeoutMs).catch(child.kill);
  const address = findStart()?.['address'];
  assert.ok(typeof address === 'string', `the server did not start: ${child.errors()}`);
  const apiKey = readFileSync(join(stateDir, 'api-key'), 'utf8').trim();
  const clients = createDemoClients(address, apiKey);
  const family = () => descendantsOf(pid);

  return {
    pid,
    address,
    apiKey,
    stateDir,
    clients,
    logs,
    family,
    workers: () => family().filter(({ parentPid, command }) => parentPid === pid && command.includes('pooled-worker')),
    redis: () => {
      const found = family().find(({ parentPid, command }) => parentPid === pid && isRedis(command));
      assert.ok(found, 'the server has no Redis now');
      return found;
    },
    kill: async (signal) => {
      child.process.kill(signal);
      return await exited;
    },
    [Symbol.asyncDispose]: async () => {
      clients.close();
      const left = family();
      child.process.kill('SIGTERM');
      await waitUntil('it has ended', hasEnded, stopTimeoutMs).catch(child.kill);
      await child.ended;
      await waitUntil('nothing of it is left', () => !left.some((each) => isAlive(each.pid)), stopTimeoutMs);
      await temp?.[Symbol.asyncDispose]();
    },
  };
}

/** The last line may still be on its way. */
function isJson(line: string): boolean {
  return line.startsWith('{') && line.endsWith('}');
}

function isRedis(command: string): boolean {
  return /^\S*(redis|valkey)-server/.test(command);
}
