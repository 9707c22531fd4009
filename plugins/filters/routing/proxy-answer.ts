import {
  type AnswerExchange,
  AppError,
  type Call,
  type Clock,
  Code,
  codeName,
  contextKey,
  deadlineOf,
  type Logger,
  localRefusal,
  type StreamAnswer,
} from '../../engine/filter.ts';
import { type AttemptLog, formatAttempts } from '../../origins/attempts.ts';
import { codeOf, isFault } from '../../origins/call-codes.ts';
import type { Cluster } from '../../origins/cluster.ts';
import { copyMetadata } from '../../origins/copy-metadata.ts';
import { leaveReply, type OriginCall, type OriginReply, withLayers } from '../../origins/origin-call.ts';
import { clusterUnknown, isOwnBound } from '../../origins/origin-errors.ts';

interface ProxyDeps {
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly showAttempts: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The tries of a call at origins, for other filters and tests of this process. */
const originAttempts = contextKey<AttemptLog>('origin_attempts');

const logIntervalMs = 1000;

/** Id of the routing filter. */
export const id = 'showrunner.routing';

/** Makes answers that come from a cluster, or from the endpoint in this process through the layers of the call. */
export function createProxy({ clusters, showAttempts, clock, log }: ProxyDeps) {
  let nextLogAt = Number.NEGATIVE_INFINITY;
  let leftOut = 0;

  const direct: OriginCall = (request) => {
    const { cluster, exchange, requests } = request;
    if (cluster === undefined) return localReply(exchange, requests);
    const found = clusters.get(cluster);
    if (found === undefined) throw clusterUnknown(cluster);
    return found.call(request);
  };

  /** At most one line a second: a dead origin must not fill the log. */
  function report(call: Call, attempts: AttemptLog, error: unknown): void {
    if (attempts.length === 0 || !isFault(codeOf(error)) || call.signal.aborted) return;
    if (clock.monotonic() < nextLogAt) {
      leftOut++;
      return;
    }
    nextLogAt = clock.monotonic() + logIntervalMs;
    const line = { call_id: call.id, method: call.path, code: codeName(codeOf(error)), left_out: leftOut };
    log.warn('call of an origin failed', { ...line, attempts: formatAttempts(attempts) });
    leftOut = 0;
  }

  function respond(cluster: string | undefined, requests: AsyncIterable<unknown>, exchange: AnswerExchange) {
    const { call } = exchange;
    const attempts: AttemptLog = [];
    originAttempts.set(call, attempts);
    const isStream = call.kind !== 'unary' && call.kind !== 'client_stream';
    const onHeaders = (headers: Call['responseHeaders']) => {
      copyMetadata(headers, call.responseHeaders);
      // One response carries its headers anyway; in a stream the caller may be waiting for them.
      if (isStream) exchange.sendHeaders();
    };
    const onTrailers = (trailers: Call['responseTrailers']) => copyMetadata(trailers, call.responseTrailers);
    const start = () =>
      withLayers(
        call,
        direct,
      )({
        ...{ exchange, cluster, path: call.path, requests: requests as AsyncIterable<Uint8Array>, attempts },
        ...{ deadline: deadlineOf(call), signal: call.signal, onHeaders, onTrailers },
        ...{ avoid: new Set(), previousAttempts: 0, isHedge: false },
      });
    return new ProxiedReply(start, (error) => {
      if (error !== undefined) report(call, attempts, error);
      if (isOwnBound(error)) localRefusal.set(call, id);
      if (showAttempts && attempts.length > 0) {
        call.responseTrailers.set('x-origin-attempts', formatAttempts(attempts));
      }
    });
  }

  return (cluster: string | undefined): StreamAnswer => ({
    encoding: 'bytes',
    respond: (requests, exchange) => respond(cluster, requests, exchange),
  });
}

async function* localReply(
  { call, local }: AnswerExchange,
  requests: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, undefined> {
  if (local === undefined) throw notHere(call);
  for await (const response of local(requests)) yield response as Uint8Array;
}

/** UNIMPLEMENTED: the call stays here, but there is no such method here. */
function notHere({ path }: Call): AppError {
  const message = `this server has no method ${path}`;
  return new AppError({ code: Code.UNIMPLEMENTED, reason: 'METHOD_UNKNOWN', message, metadata: { path } });
}

type Result = IteratorResult<Uint8Array, undefined>;

/** Starts the call with the first pull, so that a failure to start is a failure of the stream, and tells of its end. */
class ProxiedReply implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #start: () => OriginReply;
  readonly #ended: (error: unknown) => void;
  #reply: OriginReply | undefined;
  readonly #onResult = (result: Result): Result => {
    if (result.done) this.#ended(undefined);
    return result;
  };
  readonly #onError = (error: unknown): never => {
    this.#ended(error);
    throw error;
  };

  constructor(start: () => OriginReply, ended: (error: unknown) => void) {
    this.#start = start;
    this.#ended = ended;
  }

  next(): Promise<Result> {
    try {
      this.#reply ??= this.#start();
    } catch (error) {
      this.#ended(error);
      return Promise.reject(error);
    }
    return this.#reply.next().then(this.#onResult, this.#onError);
  }

  async return(): Promise<Result> {
    if (this.#reply !== undefined) await leaveReply(this.#reply);
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
