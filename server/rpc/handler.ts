import type { DescMessage, DescMethod, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { Call, Principal } from '../core/call.ts';
import type { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';

/** What a handler gets beside its request. */
export interface CallContext {
  readonly call: Call;
  /** Aborted when the caller cancels, the deadline passes or the server force-closes; its reason is an AppError. */
  readonly signal: AbortSignal;
  /** Unix ms, Infinity when the caller set none. */
  readonly deadline: number;
  /** Adds `call_id` and `method` to every line. */
  readonly log: Logger;
  /** Set by an authentication filter. */
  readonly principal: Principal | undefined;
  /** Ends the call with this error at once, e.g. a stream whose reader has stopped: its handler is told to return. */
  stop(reason: AppError): void;
}

/** One request, one response (a message, or the init that makes one). */
export type UnaryHandler<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  context: CallContext,
) => Promise<MessageInitShape<O>>;

/** One request, many responses; usually an async generator: its `finally` runs when the caller leaves. */
export type ServerStreamHandler<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  context: CallContext,
) => AsyncIterable<MessageInitShape<O>>;

/** Many requests, pulled one by one; one response. Leaving the loop early is allowed. */
export type ClientStreamHandler<I extends DescMessage, O extends DescMessage> = (
  requests: AsyncIterable<MessageShape<I>>,
  context: CallContext,
) => Promise<MessageInitShape<O>>;

/** Many requests, many responses. */
export type BidiStreamHandler<I extends DescMessage, O extends DescMessage> = (
  requests: AsyncIterable<MessageShape<I>>,
  context: CallContext,
) => AsyncIterable<MessageInitShape<O>>;

type Shape<K extends DescMethod['methodKind'], I extends DescMessage, O extends DescMessage> = {
  readonly methodKind: K;
  readonly input: I;
  readonly output: O;
};

/** The handler that a method descriptor asks for; a descriptor read at run time says nothing about its types. */
export type MethodHandler<M> = DescMethod extends M
  ? AnyHandler
  : M extends Shape<'unary', infer I, infer O>
    ? UnaryHandler<I, O>
    : M extends Shape<'server_streaming', infer I, infer O>
      ? ServerStreamHandler<I, O>
      : M extends Shape<'client_streaming', infer I, infer O>
        ? ClientStreamHandler<I, O>
        : M extends Shape<'bidi_streaming', infer I, infer O>
          ? BidiStreamHandler<I, O>
          : never;

/** A handler for every method of a service, keyed by local name (`getJob`). None may be left out. */
export type ServiceImplementation<D extends DescService> = {
  readonly [K in keyof D['method']]: MethodHandler<D['method'][K]>;
};

/** A handler whose types are checked by `serviceOf` and then forgotten; it gives what its method kind asks for. */
export type AnyHandler = (request: unknown, context: CallContext) => unknown;

/** A service and its handlers, ready for `startRpcServer`. */
export interface ServiceRegistration {
  readonly desc: DescService;
  /** By local name of the method. */
  readonly handlers: ReadonlyMap<string, AnyHandler>;
}

/**
 * Ties a service descriptor to its implementation; methods keep `this`.
 * Throws TypeError when a method of the descriptor has no function (untyped callers only).
 */
export function serviceOf<D extends DescService>(
  desc: D,
  implementation: ServiceImplementation<D>,
): ServiceRegistration {
  const handlers = new Map<string, AnyHandler>();
  for (const { localName } of desc.methods) {
    const handler: unknown = Reflect.get(implementation, localName);
    if (typeof handler !== 'function') throw new TypeError(`${desc.typeName} lacks a handler for ${localName}`);
    handlers.set(localName, handler.bind(implementation));
  }
  return { desc, handlers };
}
