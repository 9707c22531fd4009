import type { OriginReply } from './origin-call.ts';

/** How a reply ended; `left` = its reader gave it up. */
export type ReplyEnd = 'done' | 'left' | { readonly error: unknown };

export interface ReplyWatcher {
  /** The first response or the successful end came. */
  first(): void;
  /** Called once. */
  ended(outcome: ReplyEnd): void;
}

type Result = IteratorResult<Uint8Array, undefined>;

/** Tells a watcher of the first response and of the end. */
export class WatchedReply implements OriginReply {
  readonly #reply: OriginReply;
  readonly #watcher: ReplyWatcher;
  #hasFirst = false;
  #hasEnded = false;

  constructor(reply: OriginReply, watcher: ReplyWatcher) {
    this.#reply = reply;
    this.#watcher = watcher;
  }

  async next(): Promise<Result> {
    let result: Result;
    try {
      result = await this.#reply.next();
    } catch (error) {
      this.#end({ error });
      throw error;
    }
    if (!this.#hasFirst) {
      this.#hasFirst = true;
      this.#watcher.first();
    }
    if (result.done) this.#end('done');
    return result;
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
