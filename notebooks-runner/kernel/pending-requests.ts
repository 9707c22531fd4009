import type { Clock } from '../../server/core/clock.ts';
import type { JsonObject } from '../nbformat/json-value.ts';
import type { KernelExit } from './kernel-process.ts';

/** How a shell request ended. */
export type RequestEnd =
  | { readonly kind: 'answered'; readonly reply: JsonObject | undefined }
  | { readonly kind: 'died'; readonly exit: KernelExit };

interface PendingRequestsOptions {
  readonly clock: Clock;
  readonly died: Promise<KernelExit>;
  /** Once the reply or the idle status is there, how long without any message until the other counts as lost, in ms. */
  readonly quietMs: number;
}

/** Follows requests on the shell channel: each ends with its reply AND its idle status, which may come in any order. */
export interface PendingRequests {
  /** Any message from the kernel is a sign of life. */
  touch(): void;
  reply(id: string, content: JsonObject): void;
  status(id: string, isIdle: boolean): void;
  /** Resolves when the request ended or the kernel died; never rejects. */
  wait(id: string): Promise<RequestEnd>;
  /** True when the reply came before the kernel was silent for `ms`. Forgets the request. */
  repliedWithin(id: string, ms: number): Promise<boolean>;
  /** True when `work` settled before the kernel was silent for `ms`. */
  beforeQuiet(work: Promise<unknown>, ms: number): Promise<boolean>;
}

interface Pending {
  content: JsonObject | undefined;
  isIdle: boolean;
  readonly replied: PromiseWithResolvers<void>;
  readonly half: PromiseWithResolvers<void>;
  readonly whole: PromiseWithResolvers<void>;
}

/**
 * Replies and statuses of requests that nobody waits for are left out. Waiting has no deadline of its own until one
 * half is there: whoever runs out of patience ends the kernel.
 */
export function createPendingRequests({ clock, died, quietMs }: PendingRequestsOptions): PendingRequests {
  const pending = new Map<string, Pending>();
  let lastMessageMs = clock.monotonic();

  function entry(id: string): Pending {
    const found = pending.get(id);
    if (found !== undefined) return found;
    const added: Pending = {
      content: undefined,
      isIdle: false,
      replied: Promise.withResolvers(),
      half: Promise.withResolvers(),
      whole: Promise.withResolvers(),
    };
    pending.set(id, added);
    return added;
  }

  function advance(request: Pending): void {
    if (request.content !== undefined || request.isIdle) request.half.resolve();
    if (request.content !== undefined && request.isIdle) request.whole.resolve();
  }

  async function beforeQuiet(work: Promise<unknown>, ms: number): Promise<boolean> {
    const stop = new AbortController();
    const quiet = async () => {
      for (;;) {
        const restMs = lastMessageMs + ms - clock.monotonic();
        if (restMs <= 0) return false;
        await clock.sleep(restMs, stop.signal);
      }
    };
    lastMessageMs = clock.monotonic();
    try {
      return await Promise.race([work.then(() => true), quiet()]);
    } finally {
      stop.abort();
    }
  }

  return {
    touch: () => {
      lastMessageMs = clock.monotonic();
    },
    reply: (id, content) => {
      const request = pending.get(id);
      if (request === undefined) return;
      request.content = content;
      request.replied.resolve();
      advance(request);
    },
    status: (id, isIdle) => {
      const request = pending.get(id);
      if (request === undefined) return;
      request.isIdle ||= isIdle;
      advance(request);
    },
    wait: async (id) => {
      const request = entry(id);
      let exit: KernelExit | undefined;
      const death = died.then((how) => {
        exit = how;
      });
      await Promise.race([death, request.half.promise]);
      if (exit === undefined) await beforeQuiet(Promise.race([death, request.whole.promise]), quietMs);
      pending.delete(id);
      return request.content === undefined && exit !== undefined
        ? { kind: 'died', exit }
        : { kind: 'answered', reply: request.content };
    },
    repliedWithin: async (id, ms) => {
      const request = entry(id);
      await beforeQuiet(Promise.race([died, request.replied.promise]), ms);
      pending.delete(id);
      return request.content !== undefined;
    },
    beforeQuiet,
  };
}
