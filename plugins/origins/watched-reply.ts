import type { OriginReply } from './origin-call.ts';

/** How a reply ended; `left` = its reader gave it up. */
export type ReplyEnd = 'done' | 'left' | { readonly error: unknown };

interface ReplyWatcher {
  /** The first response or the successful end came. */
  first(): void;
  /** Called once. */
  ended(outcome: ReplyEnd): void;
}

type Result = IteratorResult<Uint8Array, undefined>;

/** Tells a watcher of the first response and of the end. Without async functions: it runs for every message. */
export class WatchedReply implements OriginReply {
  readonly #reply: OriginReply;
  readonly #watcher: ReplyWatcher;
  #hasFirst = false;
  #hasEnded = false;
  readonly #onResult = (result: Result): Result => {
    if (!this.#hasFirst) {
      this.#hasFirst = true;
      this.#watcher.first();
    }
    if (result.done) this.#end('done');
    return result;
  };
  readonly #onError = (error: unknown): never => {
    this.#end({ error });
    throw error;
  };

  constructor(reply: OriginReply, watcher: ReplyWatcher) {
    this.#reply = reply;
    this.#watcher = watcher;
  }

  next(): Promise<Result> {
    return this.#reply.next().then(this.#onResult, this.#onError);
  }

  async return(): Promise<Result> {
    this.#end('left');
    await this.#reply.return?.();
    return { done: true, value: undefined };
  }

  #end(outcome: ReplyEnd): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#watcher.ended(outcome);
  }
}
