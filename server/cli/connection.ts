import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DescService } from '@bufbuild/protobuf';
import { apiKeyFile } from '../app/api-key.ts';
import { codeName } from '../core/codes.ts';
import { readConfig } from '../core/config/read-config.ts';
import { AppError, invalidField, messageOf } from '../core/errors.ts';
import { type ClientTls, createRpcClient, type RpcClient } from '../rpc/client.ts';

/** Options of commands that call a running server, for `parseArgs`. */
export const connectionOptions = {
  address: { type: 'string' },
  key: { type: 'string' },
  timeout: { type: 'string', default: '30000' },
  header: { type: 'string', multiple: true },
  tls: { type: 'boolean', default: false },
  ca: { type: 'string' },
  cert: { type: 'string' },
  'cert-key': { type: 'string' },
} as const;

/** What `--help` of these commands says of their options. */
export const connectionHelp = `of the server that is called
  --address HOST:PORT   default: the one of the settings, 127.0.0.1:7400 where they name none
  --key KEY             API key; default: the one in the state folder
  --timeout MS          longest time of a call (30000)
  --header K=V          metadata to send; more than one may be given
  --tls                 TLS with the CAs of Node
  --ca FILE  --cert FILE  --cert-key FILE
                        TLS with this CA; for mutual TLS the caller's certificate and its key, all PEM
`;

interface ConnectionValues {
  readonly address?: string | undefined;
  readonly key?: string | undefined;
  /** Whole milliseconds. */
  readonly timeout: string;
  /** Metadata to send, each `key=value`. */
  readonly header?: readonly string[] | undefined;
  /** TLS, with the CAs that Node ships unless `ca` is given. */
  readonly tls?: boolean | undefined;
  /** PEM file of the CA that signs the server's certificate; turns TLS on. */
  readonly ca?: string | undefined;
  /** PEM files of the caller's certificate and its key, for mTLS; turn TLS on. */
  readonly cert?: string | undefined;
  readonly 'cert-key'?: string | undefined;
}

/** What holds for every call of a command. */
export interface CallOptions {
  /** Aborted by SIGINT. */
  readonly signal: AbortSignal;
  readonly deadlineMs: number;
}

/**
 * Calls a running server: the one of the settings, with the API key of the state folder, unless the options say
 * otherwise. An AppError is printed with its code, reason and fields. Gives the exit code.
 */
export async function withConnection<D extends DescService>(
  desc: D,
  values: ConnectionValues,
  env: NodeJS.ProcessEnv,
  work: (client: RpcClient<D>, options: CallOptions) => Promise<void>,
): Promise<number> {
  const config = readConfig(env);
  const deadlineMs = readTimeout(values.timeout);
  const apiKey = values.key ?? readKey(join(config.STATE_DIR, apiKeyFile));
  const client = createRpcClient(desc, {
    address: values.address ?? config.ADDRESS,
    tls: readTls(values),
    metadata: { ...(apiKey ? { 'x-api-key': apiKey } : {}), ...readHeaders(values.header ?? []) },
  });
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  process.once('SIGINT', onInterrupt);
  try {
    await work(client, { signal: interrupt.signal, deadlineMs });
    return 0;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    process.stderr.write(`${codeName(error.code)} ${error.reason}: ${error.message}\n`);
    for (const { field, description } of error.fields) {
      const fault = `${field}: ${description}`;
      // A single fault is the message already.
      if (error.message !== fault) process.stderr.write(`  ${fault}\n`);
    }
    return 1;
  } finally {
    process.off('SIGINT', onInterrupt);
    client.close();
  }
}

function readHeaders(headers: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    headers.map((header) => {
      const [, key, value] = /^([A-Za-z0-9_.-]+)=(.*)$/.exec(header) ?? [];
      if (key === undefined || value === undefined)
        throw invalidField('--header', `expected key=value, got "${header}"`);
      return [key.toLowerCase(), value];
    }),
  );
}

function readTls({ tls, ca, cert, 'cert-key': key }: ConnectionValues): ClientTls | undefined {
  if (!tls && ca === undefined && cert === undefined && key === undefined) return undefined;
  return { ca: readPem('--ca', ca), cert: readPem('--cert', cert), key: readPem('--cert-key', key) };
}

function readPem(option: string, path: string | undefined): Buffer | undefined {
  try {
    return path === undefined ? undefined : readFileSync(path);
  } catch (error) {
    throw invalidField(option, messageOf(error));
  }
}

function readTimeout(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw invalidField('--timeout', `expected whole milliseconds, got "${text}"`);
  return Number(text);
}

function readKey(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // No key file: the server may run elsewhere or allow anonymous calls.
    return undefined;
  }
}
