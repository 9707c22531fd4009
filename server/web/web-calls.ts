import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.ts';
import { Code } from '../core/codes.ts';
import type { Counters } from '../core/counters.ts';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { OriginError, type Origins } from '../core/origins.ts';
import { deadlineExceeded, internalError, serverClosing } from '../rpc/errors.ts';
import { type CallForm, deadlineOf, requestMetadata } from './call-head.ts';
import { webCallsExhausted } from './errors.ts';
import { type RequestLimits, requestMessages } from './request-messages.ts';
import { WebAnswer } from './web-answer.ts';

interface WebCallsOptions extends RequestLimits {
  readonly origins: Pick<Origins, 'call'>;
  /** The gRPC server, as `Origins.call` takes it. */
  readonly target: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: Counters<'calls' | 'calls_refused' | 'readers_cut'>;
  /** Calls in progress at once. */
  readonly maxCalls: number;
  /** A reader who takes nothing for this long is cut, in ms. */
  readonly stallTimeoutMs: number;
}

/** The calls of a listener. */
export interface WebCalls {
  /** Takes the call that a request is, and answers it. */
  start(request: IncomingMessage, response: ServerResponse, path: string, form: CallForm): void;
  /** Refuses new calls from now on. Resolves when none is in progress. */
  drain(): Promise<void>;
  inFlight(): number;
}

type Responses = AsyncIterableIterator<Uint8Array, undefined>;

/** Hands calls on to the gRPC server, message by message: each side is read as fast as the other takes. */
export function createWebCalls(options: WebCallsOptions): WebCalls {
  const { origins, target, clock, log, counters, maxCalls, stallTimeoutMs } = options;
  const isDrained = Promise.withResolvers<void>();
  let inFlight = 0;
  let isClosing = false;

  function refusal(): AppError | undefined {
    if (isClosing) return serverClosing();
    if (inFlight < maxCalls) return undefined;
    counters.add('calls_refused');
    return webCallsExhausted(maxCalls);
  }

  function start(request: IncomingMessage, response: ServerResponse, path: string, form: CallForm): void {
    const onStall = () => counters.add('readers_cut');
    const answer = new WebAnswer(response, {
      ...{ isText: form.isTextAnswer, isLast: isClosing, clock, stallTimeoutMs, onStall },
    });
    const refused = refusal();
    if (refused !== undefined) {
      answer.fail(refused);
      return;
    }
    counters.add('calls');
    inFlight++;
    let responses: Responses | undefined;
    response.once('close', () => {
      // When the browser left before the end, this cancels the call.
      void responses?.return?.();
      inFlight--;
      if (isClosing && inFlight === 0) isDrained.resolve();
    });
    try {
      responses = call(request, path, form, answer);
      pump(responses, answer).catch((error: unknown) => {
        // What breaks because the browser left is no fault.
        if (!response.destroyed) answer.fail(failureOf(error));
      });
    } catch (error) {
      answer.fail(failureOf(error));
    }
  }

  function call(request: IncomingMessage, path: string, form: CallForm, answer: WebAnswer): Responses {
    const { headers, socket } = request;
    return origins.call(target, path, requestMessages(request, form.isTextRequest, options), {
      metadata: requestMetadata(headers, socket.remoteAddress),
      deadline: deadlineOf(headers, clock.now()),
      onHeaders: (metadata) => answer.begin(metadata),
      onTrailers: (metadata) => answer.setTrailers(metadata),
    });
  }

  function failureOf(error: unknown): AppError {
    if (error instanceof OriginError && error.statusDetails === undefined) {
      // Not the server's own words, but the transport's about another server, which this one is not.
      if (error.code === Code.DEADLINE_EXCEEDED) return deadlineExceeded();
      if (error.code === Code.UNAVAILABLE) return serverClosing();
    }
    if (error instanceof AppError) return error;
    log.error('gRPC-web call failed', { error });
    return internalError(error);
  }

  return {
    start,
    drain: () => {
      isClosing = true;
      if (inFlight === 0) isDrained.resolve();
      return isDrained.promise;
    },
    inFlight: () => inFlight,
  };
}

async function pump(responses: Responses, answer: WebAnswer): Promise<void> {
  for await (const message of responses) await answer.write(message);
  answer.succeed();
}
