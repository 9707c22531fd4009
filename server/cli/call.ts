import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type DescMethod, fromJson, type JsonValue, type Message, toJsonString } from '@bufbuild/protobuf';
import { apiKeyFile } from '../app/api-key.ts';
import { codeName } from '../core/codes.ts';
import { readConfig } from '../core/config/read-config.ts';
import { AppError, invalidField, messageOf } from '../core/errors.ts';
import { createRpcClient } from '../rpc/client.ts';
import { callableServices } from './services.ts';

type CallAny = (
  request: unknown,
  options: { signal: AbortSignal; deadlineMs: number },
) => Promise<Message> | AsyncIterable<Message>;

/**
 * `showrunner call SERVICE/METHOD [JSON]`: calls a method of a running server and prints each answer as JSON.
 * The request is one JSON object, or an array of them for a client stream. SERVICE may be the last part of its name.
 * The API key is the one in the state folder unless --key gives another.
 */
export async function call(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { address: { type: 'string' }, key: { type: 'string' }, timeout: { type: 'string', default: '30000' } },
  });
  const config = readConfig(env);
  const [target = '', json = '{}'] = positionals;
  const method = findMethod(target);
  const deadlineMs = readTimeout(values.timeout);
  const apiKey = values.key ?? readKey(join(config.STATE_DIR, apiKeyFile));
  const client = createRpcClient(method.parent, {
    address: values.address ?? config.ADDRESS,
    metadata: apiKey ? { 'x-api-key': apiKey } : {},
  });
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort());
  try {
    const invoke = Reflect.get(client, method.localName) as CallAny;
    const options = { signal: interrupt.signal, deadlineMs };
    const answer = invoke(readRequest(method, json), options);
    if (answer instanceof Promise) print(method, await answer);
    else for await (const message of answer) print(method, message);
    return 0;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    process.stderr.write(`${codeName(error.code)} ${error.reason}: ${error.message}\n`);
    for (const { field, description } of error.fields) process.stderr.write(`  ${field}: ${description}\n`);
    return 1;
  } finally {
    client.close();
  }
}

function readTimeout(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw invalidField('--timeout', `expected whole milliseconds, got "${text}"`);
  return Number(text);
}

function findMethod(target: string): DescMethod {
  const [serviceName = '', methodName = ''] = target.split('/');
  const service = callableServices.find(
    ({ typeName }) => typeName === serviceName || typeName.endsWith(`.${serviceName}`),
  );
  const method = service?.methods.find(({ name }) => name === methodName);
  if (method) return method;
  const known = (service ? [service] : callableServices).flatMap(({ typeName, methods }) =>
    methods.map(({ name }) => `  ${typeName}/${name}`),
  );
  throw invalidField('SERVICE/METHOD', `there is no "${target}"; there are\n${known.join('\n')}`);
}

function readRequest(method: DescMethod, json: string): unknown {
  let parsed: JsonValue;
  try {
    parsed = JSON.parse(json) as JsonValue;
    const read = (value: JsonValue) => fromJson(method.input, value);
    if (method.methodKind === 'unary' || method.methodKind === 'server_streaming') return read(parsed);
    return streamOf((Array.isArray(parsed) ? parsed : [parsed]).map(read));
  } catch (error) {
    throw invalidField('JSON', messageOf(error));
  }
}

async function* streamOf(messages: readonly Message[]): AsyncIterable<Message> {
  yield* messages;
}

function print(method: DescMethod, message: Message): void {
  process.stdout.write(`${toJsonString(method.output, message, { prettySpaces: 2 })}\n`);
}

function readKey(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // No key file: the server may run elsewhere or allow anonymous calls.
    return undefined;
  }
}
