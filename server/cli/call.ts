import { parseArgs } from 'node:util';
import { type DescMethod, fromJson, type JsonValue, type Message, toJsonString } from '@bufbuild/protobuf';
import { invalidField, messageOf } from '../core/errors.ts';
import { type CallOptions, connectionHelp, connectionOptions, withConnection } from './connection.ts';
import { callableServices } from './services.ts';

type CallAny = (request: unknown, options: CallOptions) => Promise<Message> | AsyncIterable<Message>;

/** Help of `call`. */
export const callHelp = `usage:
  showrunner call SERVICE/METHOD [JSON]
      call a method; prints each answer as JSON. Without a method: lists all methods

SERVICE may be the last part of its name, as in JobService/ListJobs. JSON is the request ({} when left out), and a list of
requests for a client stream.

${connectionHelp}`;

/**
 * `showrunner call SERVICE/METHOD [JSON]`: calls a method of a running server and prints each answer as JSON.
 * The request is one JSON object, or an array of them for a client stream. SERVICE may be the last part of its name.
 * The API key is the one in the state folder unless --key gives another.
 */
export async function call(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: connectionOptions });
  const [target = '', json = '{}'] = positionals;
  const method = findMethod(target);
  return withConnection(method.parent, values, env, async (client, options) => {
    const invoke = Reflect.get(client, method.localName) as CallAny;
    const answer = invoke(readRequest(method, json), options);
    if (answer instanceof Promise) print(method, await answer);
    else for await (const message of answer) print(method, message);
  });
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
