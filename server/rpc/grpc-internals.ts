import type { ServerHttp2Session, ServerHttp2Stream, ServerOptions } from 'node:http2';
import type { Metadata, Server, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { internalError } from './errors.ts';

/** A handler as grpc-js keeps it in its table. */
export interface TableEntry {
  readonly func: unknown;
  readonly serialize: (value: Buffer) => Buffer;
  readonly deserialize: (bytes: Buffer) => Buffer;
  readonly type: 'bidi';
  readonly path: string;
}

class MethodTable extends Map<string, unknown> {
  readonly #makeUnknown: (path: string) => TableEntry;

  constructor(makeUnknown: (path: string) => TableEntry) {
    super();
    this.#makeUnknown = makeUnknown;
  }

  override get(path: string): unknown {
    return super.get(path) ?? this.#makeUnknown(path);
  }
}

/**
 * Makes a grpc-js server hand calls of unknown methods to a handler of ours; by itself it answers them before any
 * interceptor, so that no filter sees them. grpc-js has no public hook for it, hence this one touch of a private
 * field: the table from path to handler. Call it before any `register`. Throws when grpc-js has no such table.
 */
export function catchUnknownMethods(server: Server, makeUnknown: (path: string) => TableEntry): void {
  if (!(Reflect.get(server, 'handlers') instanceof Map)) {
    throw internalError(new Error('this version of @grpc/grpc-js keeps its method handlers elsewhere'));
  }
  Reflect.set(server, 'handlers', new MethodTable(makeUnknown));
}

/**
 * Adds options of HTTP/2 that grpc-js does not pass on, hence the touch of a private field: `settings` go to the
 * callers, the rest to Node. Call it before `bindAsync`. Throws when grpc-js has no such field.
 */
export function addHttp2Options(server: Server, { settings, ...options }: ServerOptions): void {
  const common: unknown = Reflect.get(server, 'commonServerOptions');
  if (typeof common !== 'object' || common === null) {
    throw internalError(new Error('this version of @grpc/grpc-js keeps its HTTP/2 options elsewhere'));
  }
  Object.assign(common, options, { settings: { ...Reflect.get(common, 'settings'), ...settings } });
}

/** All fields of transport metadata, without the copy that `toJSON` makes: each call's are counted. */
export function fieldsOf(metadata: Metadata): Iterable<readonly [string, readonly (string | Buffer)[]]> {
  const fields: unknown = Reflect.get(metadata, 'internalRepr');
  return fields instanceof Map ? fields : Object.entries(metadata.toJSON());
}

/**
 * The transport's call under the stream or emitter that a handler gets: the one an interceptor saw when the call began.
 * grpc-js keeps it in a private field.
 */
export function transportCallOf(wire: object): ServerInterceptingCallInterface {
  return Reflect.get(wire, 'call');
}

/** The HTTP/2 stream of a transport call, which grpc-js keeps in a private field. */
export function streamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream {
  return Reflect.get(call, 'stream');
}

/** A transport call by the private method that takes what arrives of its request. */
interface DataTaker extends ServerInterceptingCallInterface {
  handleDataFrame?(this: DataTaker, data: Buffer): void;
}

/** Gives what makes a transport call tell `look` after each piece of its request that has arrived. */
export function createDataHook(look: (call: ServerInterceptingCallInterface) => void) {
  function take(this: DataTaker, data: Buffer): void {
    Object.getPrototypeOf(this).handleDataFrame.call(this, data);
    look(this);
  }
  return (call: DataTaker): void => {
    call.handleDataFrame = take;
  };
}

/** What has arrived of a request message whose rest has not, in bytes. */
export function unfinishedBytesOf(call: ServerInterceptingCallInterface): number {
  const { readMessageSize = 0, readMessageRemaining = 0 } = Reflect.get(call, 'decoder');
  return readMessageRemaining === 0 ? 0 : readMessageSize - readMessageRemaining;
}

/** Takes data of a call whose request was read to its end: there is none. */
const spentDecoder = { write: () => [] };

/**
 * Lets go of what grpc-js holds for a unary call that has sent its status. Node keeps the HTTP/2 stream of an ended
 * call until its next full collection, and grpc-js hangs the call on it with its decoder, its metadata and, by the
 * listener, its handler's closure: half of all that ever reaches the old generation.
 */
export function releaseTransport(wire: object): void {
  const call = transportCallOf(wire);
  Reflect.set(call, 'listener', null);
  Reflect.set(call, 'decoder', spentDecoder);
  Reflect.set(call, 'metadata', null);
  Reflect.set(wire, 'metadata', null);
}

/**
 * Cuts all connections. `forceShutdown` does so only while channelz is on: without it grpc-js keeps its sessions in
 * the table of listeners alone, which is private.
 */
export function destroySessions(server: Server): void {
  const listeners: Map<unknown, { sessions: Set<ServerHttp2Session> }> = Reflect.get(server, 'http2Servers');
  for (const { sessions } of listeners.values()) {
    for (const session of sessions) session.destroy();
  }
}
