import type { CallAttributes } from './call-attributes.ts';
import type { Code } from './codes.ts';
import type { AppError } from './errors.ts';

/** How messages flow in a method. */
export type CallKind = 'unary' | 'client_stream' | 'server_stream' | 'bidi_stream';

/** What a method promises about being called twice (proto option `idempotency_level`). */
export type Idempotency = 'unknown' | 'no_side_effects' | 'idempotent';

/** Metadata as filters and handlers see it: lower-case keys, `-bin` keys carry bytes. */
export interface CallMetadata {
  /** The first value as text; undefined when there is none, or it is bytes. */
  get(key: string): string | undefined;
  /** The first value as bytes; undefined when there is none, or it is text. */
  getBinary(key: string): Uint8Array | undefined;
  /** Every value of the key, in order. */
  getAll(key: string): readonly (string | Uint8Array)[];
  /** Puts the value in place of all that are there. Throws METADATA_INVALID where the transport cannot carry it. */
  set(key: string, value: string | Uint8Array): void;
  /** Adds a value beside those that are there. Throws as `set`. */
  append(key: string, value: string | Uint8Array): void;
  delete(key: string): void;
  keys(): string[];
}

/** Who makes the call, as established by an authentication filter. */
export interface Principal {
  /** Stable id, e.g. `key:demo` or the JWT subject. */
  readonly id: string;
  readonly scopes: ReadonlySet<string>;
  /** How it was proven. */
  readonly method: 'api_key' | 'jwt' | 'mtls' | 'none';
}

/** One RPC in progress, independent of the transport. Built once per call by server/rpc. */
export interface Call {
  /** Unique per call; taken from `x-request-id` by the request-id filter where that is present and valid. */
  id: string;
  /** Full path, e.g. `/showrunner.jobs.v1.JobService/GetJob`. */
  readonly path: string;
  /** Service and method names; for an unknown method they are parsed from the path. */
  readonly service: string;
  readonly method: string;
  readonly kind: CallKind;
  /** False when no handler is registered: filters still see the call. */
  readonly known: boolean;
  /** Full names of the method's message types, e.g. `showrunner.jobs.v1.Job`; absent for an unknown method. */
  readonly requestType?: string | undefined;
  readonly responseType?: string | undefined;
  /** Of an unknown method: `unknown`. */
  readonly idempotency: Idempotency;
  readonly requestMetadata: CallMetadata;
  /** Sent before the first response message. */
  readonly responseHeaders: CallMetadata;
  /** Sent with the status. */
  readonly responseTrailers: CallMetadata;
  /** Peer address, e.g. `127.0.0.1:51234`. */
  readonly peer: string;
  /** Unix ms, Infinity when the caller set none. */
  readonly deadline: number;
  /** Aborted when the call is cancelled, its deadline passes or the server force-closes. */
  readonly signal: AbortSignal;
  /** Monotonic ms at arrival. */
  readonly startedAt: number;
  principal: Principal | undefined;
  /** Ends the call at any time with this error: signal, error filters, status. Absent where the transport cannot. */
  stop?(reason: AppError): void;
  /** Values that filters hand to each other and to handlers; keys are unique symbols owned by their filter. */
  readonly attributes: CallAttributes;
}

/** A reply given by a filter instead of the endpoint: the response messages (plain protobuf messages). */
export interface StaticAnswer {
  readonly messages: readonly unknown[];
}

/** What an answer that streams may do besides giving messages. */
export interface AnswerExchange {
  readonly call: Call;
  /** Sends `call.responseHeaders` now instead of with the first message. */
  sendHeaders(): void;
  /** The endpoint that the answer replaces, in the encoding of the answer; undefined for an unknown method. */
  readonly local: ((requests: AsyncIterable<unknown>) => AsyncIterable<unknown>) | undefined;
}

/**
 * A reply that flows, given by a filter instead of the endpoint, e.g. by another server. Both streams are pulled:
 * a caller that stops reading stops the answer, an answer that stops reading stops the caller. A unary call has one
 * request and must get one response. The answer sets `call.responseHeaders` before its first message and
 * `call.responseTrailers` before its end, throws an AppError to fail the call, and must end when `call.signal` aborts.
 */
export interface StreamAnswer {
  /**
   * `bytes`: both streams carry encoded messages (Uint8Array), decoded only for the message hooks of other filters;
   * `message`: plain protobuf messages, which an unknown method does not have.
   */
  readonly encoding: 'bytes' | 'message';
  respond(requests: AsyncIterable<unknown>, exchange: AnswerExchange): AsyncIterable<unknown>;
}

/** What a filter answers with in place of the endpoint: at once, or as it flows. */
export type Answer = StaticAnswer | StreamAnswer;

/** How a call ended. */
export interface CallOutcome {
  readonly code: Code;
  readonly error: AppError | undefined;
  readonly durationMs: number;
  /** Messages that came from the caller, also those that a filter dropped. */
  readonly requestMessages: number;
  /** Messages that went to the caller. */
  readonly responseMessages: number;
}

/**
 * What the filter engine does for one call. Hooks may be absent: an absent hook costs nothing.
 * Order: inbound → (requestMessage per message) → endpoint → (responseMessage per message) → outbound;
 * on any failure error → end. `end` always runs, exactly once, last.
 */
export interface CallSession {
  /** Runs the inbound filters; throws to refuse the call, gives an answer to replace the endpoint. */
  inbound?(): Answer | undefined | Promise<Answer | undefined>;
  /**
   * What goes on in place of a request message: usually itself; `droppedMessage` = nothing. Throws to fail the call.
   */
  requestMessage?(message: unknown): unknown | Promise<unknown>;
  /** As `requestMessage`, for a response message. */
  responseMessage?(message: unknown): unknown | Promise<unknown>;
  /** Runs after the endpoint succeeded, before the status is sent; throws to turn success into failure. */
  outbound?(): void | Promise<void>;
  /** Sees (and may replace) the error that ends the call. Never throws. */
  error?(error: AppError): AppError | Promise<AppError>;
  /** Hears how the call ended. What it throws is logged. */
  end?(outcome: CallOutcome): void;
}

/** The filter engine as server/rpc sees it. `open` is called once per call, before anything else. */
export interface CallPipeline {
  /** Undefined when no filter matches: the call runs bare. */
  open(call: Call): CallSession | undefined;
}
