import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import type { MetaReply } from './meta-parser.ts';

/** One command on its way, and what takes its answers. */
export interface MetaCommand {
  /** Lines with their line ends, and values. */
  readonly request: readonly (string | Uint8Array)[];
  /** Answers that are expected, for the bound on what is in flight. */
  readonly weight: number;
  /** Takes one answer; true when it was the last one. May throw an AppError: the command fails, and was answered. */
  readonly take: (reply: MetaReply) => boolean;
}

/** Commands that wait for their answers, in the order they were sent. */
export interface CommandQueue {
  /** Appends a command that is (about to be) sent; rejects at its deadline, on abort, or with `failAll`'s error. */
  add(command: MetaCommand, signal: AbortSignal | undefined): Promise<void>;
  /** Gives the answer to the oldest command; false when none waits. Throws what `take` threw as CACHE_PROTOCOL_ERROR. */
  answer(reply: MetaReply): boolean;
  /** Rejects and forgets all commands. */
  failAll(error: unknown): void;
  /** Weight of all commands that are not yet answered, given-up ones among them. */
  readonly weight: number;
}

interface Pending {
  readonly command: MetaCommand;
  readonly deadline: number;
  readonly settle: (error?: unknown) => void;
  /** The caller has its outcome; only the answer is still to come. */
  isGivenUp: boolean;
  next: Pending | undefined;
}

/**
 * Commands in the order they were sent, which is the order of the answers. A command whose caller no longer waits
 * stays in its place, so that its late answer is not taken for the next one's.
 */
export function createCommandQueue(clock: Clock, timeoutMs: number, onTimeout: () => unknown): CommandQueue {
  let first: Pending | undefined;
  let last: Pending | undefined;
  let weight = 0;
  /** One timer for all: deadlines come in the order of the queue. */
  let stopTimer: (() => void) | undefined;

  function expire(): void {
    stopTimer = undefined;
    const now = clock.monotonic();
    for (let pending = first; pending; pending = pending.next) {
      if (pending.isGivenUp) continue;
      if (pending.deadline > now) {
        stopTimer = clock.schedule(pending.deadline - now, expire);
        return;
      }
      pending.settle(onTimeout());
    }
  }

  function enqueue(pending: Pending): void {
    if (last === undefined) first = pending;
    else last.next = pending;
    last = pending;
    weight += pending.command.weight;
    stopTimer ??= clock.schedule(timeoutMs, expire);
  }

  function dequeue(pending: Pending): void {
    first = pending.next;
    if (first === undefined) last = undefined;
    weight -= pending.command.weight;
  }

  return {
    add: (command, signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const onAbort = () => pending.settle(signal?.reason);
      const pending: Pending = {
        command,
        deadline: clock.monotonic() + timeoutMs,
        isGivenUp: false,
        next: undefined,
        settle: (error) => {
          pending.isGivenUp = true;
          signal?.removeEventListener('abort', onAbort);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      enqueue(pending);
      return promise;
    },
    answer: (reply) => {
      const pending = first;
      if (pending === undefined) return false;
      try {
        if (pending.command.take(reply)) {
          dequeue(pending);
          pending.settle();
        }
      } catch (error) {
        dequeue(pending);
        pending.settle(error);
        // Requests and answers may no longer go together: the connection has to be given up.
        if (error instanceof AppError && error.reason === 'CACHE_PROTOCOL_ERROR') throw error;
      }
      return true;
    },
    failAll: (error) => {
      stopTimer?.();
      stopTimer = undefined;
      for (let pending = first; pending; pending = pending.next) pending.settle(error);
      first = undefined;
      last = undefined;
      weight = 0;
    },
    get weight() {
      return weight;
    },
  };
}
