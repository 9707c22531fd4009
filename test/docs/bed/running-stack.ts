import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ManifestService } from '../../../proto/gen/showrunner/manifest/v1/manifest_service_pb.ts';
import { createRpcClient } from '../../../server/rpc/client.ts';
import { createTempDir } from '../../support/temp-dir.ts';

const root = join(import.meta.dirname, '../../..');

/** A server with two workers as `npx showrunner serve` starts it, on free ports and a state folder of its own. */
export interface RunningStack {
  readonly address: string;
  /** `host:port` of the HTTP origin. */
  readonly originAddress: string;
  /** `host:port` of the gRPC-web listener, open to pages of http://localhost:5173. */
  readonly webAddress: string;
  readonly stateDir: string;
  /** Drains it and removes the state folder. */
  close(): Promise<void>;
}

/** The process environment without settings of showrunner and of exporters. */
export function cleanEnv(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(SHOWRUNNER|OTEL)_/.test(name)));
}

export async function startRunningStack(): Promise<RunningStack> {
  const dir = await createTempDir();
  const settings = {
    SHOWRUNNER_STATE_DIR: dir.path,
    SHOWRUNNER_ADDRESS: '127.0.0.1:0',
    SHOWRUNNER_ORIGIN_ADDRESS: '127.0.0.1:0',
    SHOWRUNNER_WEB_ADDRESS: '127.0.0.1:0',
    SHOWRUNNER_WEB_ORIGINS: 'http://localhost:5173',
    SHOWRUNNER_WORKERS: '2',
  };
  const child = spawn(process.execPath, [join(root, 'scripts/showrunner.js'), 'serve'], {
    cwd: root,
    env: { ...cleanEnv(), ...settings },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const close = async () => {
    await end(child);
    await dir[Symbol.asyncDispose]();
  };
  try {
    const { address, web_address: webAddress } = await servingAddresses(child);
    const originAddress = await findOrigin(address, readFileSync(join(dir.path, 'api-key'), 'utf8').trim());
    return { address, originAddress, webAddress, stateDir: dir.path, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** From the log line that tells them; rejects with what was printed when the server ends before. */
function servingAddresses(child: ChildProcess): Promise<{ address: string; web_address: string }> {
  const lines: string[] = [];
  return new Promise((resolve, reject) => {
    if (child.stderr === null) throw new Error('the log is not piped');
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (lines.push(line) > 200) lines.shift();
      if (!line.includes('"message":"serving"')) return;
      resolve(JSON.parse(line));
    });
    child.once('close', () => reject(new Error(`the server ended:\n${lines.join('\n')}`)));
  });
}

async function findOrigin(address: string, key: string): Promise<string> {
  const client = createRpcClient(ManifestService, { address, metadata: { 'x-api-key': key } });
  try {
    const { appliances } = await client.listAppliances({});
    return new URL(appliances.find(({ origin }) => origin)?.baseUrl ?? '').host;
  } finally {
    client.close();
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
  await closed;
  clearTimeout(timer);
}
