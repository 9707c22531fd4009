import type { Answer, Call, CallKind } from '../../../server/core/call.ts';
import { droppedMessage } from '../../../server/core/dropped-message.ts';
import { AppError } from '../../../server/core/errors.ts';
import type { LoadedFilter } from '../load/loaded-filter.ts';
import type { Invocation } from './invocation.ts';

/** What `take` gives for a result that the phase does not allow. */
export const badResult = Symbol('bad result');

/** One kind of passage through a chain: which hook runs, and what its result does to the carried value. */
export interface Phase {
  invoke(filter: LoadedFilter, carried: unknown, call: Call, ctx: Invocation): unknown;
  /** The next carried value, or `badResult`. */
  take(result: unknown, carried: unknown, call: Call): unknown;
  /** The first carried value that is not undefined ends the passage. */
  readonly isEndedByValue: boolean;
  /** False for a filter of the slots that has no hook of this kind. */
  hasHook?(filter: LoadedFilter): boolean;
  /** The passage never fails: a failing filter leaves the carried value as it was. */
  readonly neverFails: boolean;
}

/** The answer, copied so that a filter that keeps it cannot change it later; undefined when it is none for this kind. */
function readAnswer(value: unknown, { kind }: Call): Answer | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { messages, respond, encoding } = value as { messages?: unknown; respond?: unknown; encoding?: unknown };
  if (typeof respond === 'function') {
    if (encoding !== 'bytes' && encoding !== 'message') return undefined;
    return Object.freeze({ encoding, respond: respond.bind(value) });
  }
  if (!Array.isArray(messages)) return undefined;
  if ((kind === 'unary' || kind === 'client_stream') && messages.length !== 1) return undefined;
  return Object.freeze({ messages: Object.freeze([...messages]) });
}

/** Carries the answer. */
export const inboundPhase: Phase = {
  invoke: (filter, _carried, call, ctx) => filter.run?.(call, ctx, undefined),
  take: (result, _carried, call) => (result === undefined ? undefined : (readAnswer(result, call) ?? badResult)),
  hasHook: (filter) => filter.run !== undefined,
  isEndedByValue: true,
  neverFails: false,
};

/**
 * True when a hook may put `given` in the place of `carried`: an object for an object, bytes for bytes, and no message of
 * another type. Hooks that give back something else mostly did not mean to: `(m) => (m.seen = true)`.
 */
function isLike(given: unknown, carried: unknown): boolean {
  if (typeof given !== typeof carried) return false;
  if (typeof given !== 'object' || typeof carried !== 'object') return true;
  if (given === null || carried === null) return given === carried;
  if (Array.isArray(given) || given instanceof Uint8Array !== carried instanceof Uint8Array) return false;
  const [type, before] = [given, carried].map((message) => (message as { $typeName?: unknown }).$typeName);
  // What has no type is data that a message is made of.
  return type === undefined || before === undefined || type === before;
}

/** A message can be dropped from a stream only: `single` is the kind of call with a stream in the other direction. */
function takeMessage(single: CallKind): Phase['take'] {
  return (result, carried, { kind }) => {
    if (result === undefined) return carried;
    if (result === droppedMessage) return kind === 'unary' || kind === single ? badResult : result;
    return isLike(result, carried) ? result : badResult;
  };
}

/** Carries the message. */
export const requestMessagePhase: Phase = {
  invoke: (filter, message, call, ctx) => filter.onRequestMessage?.(message, call, ctx),
  take: takeMessage('server_stream'),
  isEndedByValue: false,
  neverFails: false,
};

/** Carries the message. */
export const responseMessagePhase: Phase = {
  invoke: (filter, message, call, ctx) => filter.onResponseMessage?.(message, call, ctx),
  take: takeMessage('client_stream'),
  isEndedByValue: false,
  neverFails: false,
};

/** Carries the answer; the messages of the whole request are given by `bodyPhase`. */
export function bodyPhase(messages: readonly unknown[]): Phase {
  return {
    invoke: (filter, _carried, call, ctx) => filter.onRequestBody?.(messages, call, ctx),
    take: (result, _carried, call) => {
      const answer = result === undefined ? undefined : readAnswer(result, call);
      return result === undefined ? undefined : answer !== undefined && 'messages' in answer ? answer : badResult;
    },
    isEndedByValue: true,
    neverFails: false,
  };
}

/** Carries nothing. */
export const outboundPhase: Phase = {
  invoke: (filter, _carried, call, ctx) => filter.run?.(call, ctx, undefined),
  take: () => undefined,
  isEndedByValue: false,
  neverFails: false,
};

/** Carries the error. */
export const errorPhase: Phase = {
  invoke: (filter, error, call, ctx) => filter.run?.(call, ctx, error as AppError),
  take: (result, error) => (result === undefined ? error : result instanceof AppError ? result : badResult),
  isEndedByValue: false,
  neverFails: true,
};
