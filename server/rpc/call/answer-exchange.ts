import type { AnswerExchange, Call, StreamAnswer } from '../../core/call.ts';
import { decodeRequest, encodeResponse } from '../codec.ts';
import { answerInvalid } from '../errors.ts';
import type { CallRun } from './call-run.ts';
import type { MethodEntry } from './method-entry.ts';
import { leaveSource } from './response-pump.ts';
import { takeRequestAs } from './session-hooks.ts';

type Encoding = StreamAnswer['encoding'];

/** The side of the server that an answer of a filter sees. */
export class Exchange implements AnswerExchange {
  readonly #run: CallRun;
  readonly #entry: MethodEntry | undefined;
  readonly #encoding: Encoding;

  /** `entry` is undefined for an unknown method. */
  constructor(run: CallRun, entry: MethodEntry | undefined, encoding: Encoding) {
    this.#run = run;
    this.#entry = entry;
    this.#encoding = encoding;
  }

  get call(): Call {
    return this.#run;
  }

  sendHeaders(): void {
    if (!this.#run.isSettled) this.#run.sendHeaders();
  }

  get local(): AnswerExchange['local'] {
    const entry = this.#entry;
    return entry && ((requests) => callLocal(this.#run, entry, this.#encoding, requests));
  }
}

async function* callLocal(
  run: CallRun,
  entry: MethodEntry,
  encoding: Encoding,
  requests: AsyncIterable<unknown>,
): AsyncGenerator<unknown, undefined> {
  const { input, output } = entry.desc;
  const { maxMessageBytes } = run.host;
  const decoded = encoding === 'message' ? requests : decodeAll(input, requests);
  const encode = (response: unknown) =>
    encoding === 'message' ? response : encodeResponse(output, response, maxMessageBytes);
  const isOne = entry.kind === 'unary' || entry.kind === 'server_stream';
  const result = entry.handler(isOne ? await onlyItem(entry.path, decoded) : decoded, run);
  if (entry.kind === 'unary' || entry.kind === 'client_stream') yield encode(await result);
  // The method kind says that the handler gives a stream; serviceOf has checked it.
  else for await (const response of result as AsyncIterable<unknown>) yield encode(response);
}

async function* decodeAll(desc: MethodEntry['desc']['input'], requests: AsyncIterable<unknown>) {
  for await (const bytes of requests) yield decodeRequest(desc, bytes as Uint8Array);
}

/** Reads on to the end: a filter that copies or keeps the requests learns only there that it has all of them. */
async function onlyItem(path: string, items: AsyncIterable<unknown>): Promise<unknown> {
  const all: unknown[] = [];
  for await (const item of items) {
    if (all.push(item) > 1) throw answerInvalid(path, 'passed more than one request on to the endpoint');
  }
  if (all.length === 0) throw answerInvalid(path, 'passed no request on to the endpoint');
  return all[0];
}

/** The request of a unary or server-streaming call as a stream of one. */
export class OneRequest implements AsyncIterableIterator<unknown, undefined> {
  readonly #run: CallRun;
  readonly #entry: MethodEntry;
  readonly #encoding: Encoding;
  #bytes: Buffer | undefined;

  constructor(run: CallRun, entry: MethodEntry, bytes: Buffer, encoding: Encoding) {
    this.#run = run;
    this.#entry = entry;
    this.#bytes = bytes;
    this.#encoding = encoding;
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    const bytes = this.#bytes;
    if (bytes === undefined) return { done: true, value: undefined };
    this.#bytes = undefined;
    let request = takeRequestAs(this.#run, this.#entry.desc.input, bytes, this.#encoding);
    if (request instanceof Promise) request = await request;
    return { done: false, value: request };
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    this.#bytes = undefined;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** The response of an answer to a call that has exactly one. Throws ANSWER_INVALID for none or a second one. */
export async function onlyResponse(
  run: CallRun,
  entry: MethodEntry,
  answer: StreamAnswer,
  requests: AsyncIterable<unknown>,
): Promise<unknown> {
  const exchange = new Exchange(run, entry, answer.encoding);
  const source = answer.respond(requests, exchange)[Symbol.asyncIterator]();
  run.onStop(() => leaveSource(run, source));
  const first = await source.next();
  if (first.done) throw answerInvalid(entry.path, 'has no message, not one');
  if ((await source.next()).done) return first.value;
  leaveSource(run, source);
  throw answerInvalid(entry.path, 'has more than one message');
}
