import type { CallMetadata } from './call.ts';
import { AppError, type AppErrorInit } from './errors.ts';

/** One call of another server. */
export interface OriginCallOptions {
  /** Sent with the request; what belongs to a connection (user-agent, grpc-timeout, …) is left out. */
  readonly metadata?: CallMetadata | undefined;
  /** Keys of `metadata` that are not sent, in lower case. */
  readonly dropMetadata?: readonly string[] | undefined;
  /** Sent over what `metadata` holds. */
  readonly addMetadata?: Readonly<Record<string, string | Uint8Array>> | undefined;
  /** Unix ms, Infinity for none; the origin learns it. */
  readonly deadline: number;
  /** Cancels the call. */
  readonly signal?: AbortSignal | undefined;
  /** Gets the headers of the origin, before its first message. */
  readonly onHeaders?: ((headers: CallMetadata) => void) | undefined;
  /** Gets the trailers of the origin, on success and on failure. */
  readonly onTrailers?: ((trailers: CallMetadata) => void) | undefined;
}

/** What happened to calls of origins since the start. */
export interface OriginStats {
  readonly started: number;
  readonly failed: number;
  readonly inFlight: number;
  /** Origins that a connection is kept for. */
  readonly origins: number;
}

/** Calls methods of other servers with encoded messages, over one kept connection each. */
export interface Origins {
  /**
   * Starts a call of `path` at `target` (`host:port`, or `grpcs://host:port` with TLS). Requests are pulled as fast as
   * the origin takes them; responses are read as fast as they are pulled. Leaving the responses cancels the call.
   * Failures are OriginErrors; what `requests` throws is thrown on. Throws ORIGIN_INVALID for a malformed target.
   */
  call(
    target: string,
    path: string,
    requests: AsyncIterable<Uint8Array>,
    options: OriginCallOptions,
  ): AsyncIterableIterator<Uint8Array, undefined>;
  /** Opens the connection ahead of the first call. Throws ORIGIN_INVALID. */
  connect(target: string): void;
  /** Closes the connection when the calls on it have ended. */
  release(target: string): void;
  stats(): OriginStats;
}

/** What an OriginError says beside an AppError; see its fields. */
export interface OriginErrorInit extends AppErrorInit {
  readonly isProcessed: boolean;
  readonly pushbackMs: number | undefined;
}

/** A call of an origin failed: its own status, or why there is none. */
export class OriginError extends AppError {
  /** False when it is certain that the origin did nothing: the call may be made again whatever it does. */
  readonly isProcessed: boolean;
  /** The origin's `grpc-retry-pushback-ms`: wait this long before a retry, negative = do not retry. */
  readonly pushbackMs: number | undefined;

  constructor(init: OriginErrorInit) {
    super(init);
    this.isProcessed = init.isProcessed;
    this.pushbackMs = init.pushbackMs;
  }
}
