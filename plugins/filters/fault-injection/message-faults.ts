import {
  AppError,
  type Call,
  type CallKind,
  type Clock,
  Code,
  codeName,
  createSeededRandom,
  droppedMessage,
  type Random,
} from '../../engine/filter.ts';
import type { Fault } from './fault.ts';

type Direction = 'request' | 'response';

/** The fault of one call, while it lasts. */
export interface ActiveFault {
  readonly fault: Fault;
  /** When the next message may pass, monotonic ms, by direction. */
  readonly nextAt: Record<Direction, number>;
  /** Draws which messages are lost: of this call only, so that others do not change them. */
  readonly random: Random | undefined;
  /** Messages, both directions together, that pass before the reset. */
  readonly resetAfter: number;
  /** Messages that were to pass, by direction. */
  readonly seen: Record<Direction, number>;
}

/** The error of a call that fails on purpose. */
export function injected(code: Code): AppError {
  const message = 'this failure was injected on purpose';
  return new AppError({ code, reason: 'FAULT_INJECTED', message, metadata: { code: codeName(code) } });
}

/** Begins a fault at `nowMs` (monotonic). Messages are lost and streams reset only where there are streams. */
export function beginFault(fault: Fault, kind: CallKind, nowMs: number, random: Random): ActiveFault {
  const { dropRequests, dropResponses, resetAfter, resetSpread = 0 } = fault;
  const drops = dropRequests !== undefined || dropResponses !== undefined;
  const draws = drops || (resetAfter !== undefined && resetSpread > 0);
  const own = draws ? createSeededRandom(Math.floor(random.next() * 2 ** 32)) : undefined;
  const more = own === undefined || resetSpread === 0 ? 0 : Math.floor(own.next() * (resetSpread + 1));
  return {
    fault,
    nextAt: { request: nowMs, response: nowMs },
    random: own,
    resetAfter: resetAfter === undefined || kind === 'unary' ? Number.POSITIVE_INFINITY : resetAfter + more,
    seen: { request: 0, response: 0 },
  };
}

function isLost({ fault, random }: ActiveFault, direction: Direction, kind: CallKind): boolean {
  const share = direction === 'request' ? fault.dropRequests : fault.dropResponses;
  if (share === undefined || random === undefined) return false;
  const isStream = kind === 'bidi_stream' || kind === (direction === 'request' ? 'client_stream' : 'server_stream');
  return isStream && random.next() * 100 < share;
}

/** The wait until the next message may pass; undefined when it may now. */
function paced(
  { fault, nextAt }: ActiveFault,
  direction: Direction,
  clock: Clock,
  signal: () => AbortSignal,
): Promise<void> | undefined {
  const { messagesPerSecond } = fault;
  if (messagesPerSecond === undefined) return undefined;
  const now = clock.monotonic();
  const at = Math.max(now, nextAt[direction]);
  nextAt[direction] = at + 1000 / messagesPerSecond;
  return at > now ? clock.sleep(at - now, signal()) : undefined;
}

/**
 * What becomes of the next message of a call: it passes, waits, is lost, or ends the call (throws). A reset ends it
 * for the handler, too, which could survive an error of its requests.
 */
export function passMessage(
  own: ActiveFault | undefined,
  direction: Direction,
  call: Call,
  ctx: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> | typeof droppedMessage | undefined {
  if (own === undefined) return undefined;
  const { fault, seen } = own;
  if (seen.request + seen.response >= own.resetAfter) {
    const error = injected(fault.abort ?? Code.UNAVAILABLE);
    call.stop?.(error);
    throw error;
  }
  const before = seen[direction]++;
  const { abort, abortAfter } = fault;
  if (direction === 'response' && abort !== undefined && abortAfter !== undefined && before >= abortAfter) {
    throw injected(abort);
  }
  if (isLost(own, direction, call.kind)) return droppedMessage;
  return paced(own, direction, ctx.clock, () => ctx.signal);
}
