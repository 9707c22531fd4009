/** The requests of a call, kept so that they can be sent again. */
export interface Replay {
  /**
   * The requests from the first on. Only one reader may be ahead of what is kept; several may read at once when
   * `isComplete`. Throws when the beginning is gone.
   */
  open(): AsyncIterableIterator<Uint8Array, undefined>;
  /** Everything from the first request on is still there. */
  readonly isReplayable: boolean;
  /** The caller has sent its last request, and all are there. */
  readonly isComplete: boolean;
  /** Nobody will read again from the first: what is kept is let go as it is read. */
  commit(): void;
}

/** Most requests kept, however small: an empty one costs memory, too. */
export const maxKeptRequests = 4096;

/** Keeps up to `maxBytes` and `maxKeptRequests`; beyond that the requests pass on and cannot be sent again. */
export function createReplay(source: AsyncIterable<Uint8Array>, maxBytes: number): Replay {
  const iterator = source[Symbol.asyncIterator]();
  const kept: Uint8Array[] = [];
  /** Requests let go before `kept[0]`. */
  let dropped = 0;
  let bytes = 0;
  let isCommitted = false;
  let isEnded = false;
  let pulling: Promise<void> | undefined;
  let failure: { readonly error: unknown } | undefined;

  async function pull(): Promise<void> {
    try {
      const result = await iterator.next();
      if (result.done) isEnded = true;
      else {
        kept.push(result.value);
        bytes += result.value.byteLength;
        if (bytes > maxBytes || kept.length > maxKeptRequests) isCommitted = true;
      }
    } catch (error) {
      failure = { error };
    } finally {
      pulling = undefined;
    }
  }

  async function readAt(position: number): Promise<Uint8Array | undefined> {
    for (;;) {
      const item = kept[position - dropped];
      if (item !== undefined) {
        // A single reader is left: what it has read, nobody asks for again.
        if (isCommitted) {
          kept.splice(0, position - dropped + 1);
          dropped = position + 1;
        }
        return item;
      }
      if (failure !== undefined) throw failure.error;
      if (isEnded) return undefined;
      pulling ??= pull();
      await pulling;
    }
  }

  return {
    open: () => {
      if (dropped > 0) throw new Error('the requests cannot be sent again');
      let position = 0;
      let isLeft = false;
      const reader: AsyncIterableIterator<Uint8Array, undefined> = {
        next: async () => {
          const item = isLeft ? undefined : await readAt(position);
          if (item === undefined) return { done: true, value: undefined };
          position++;
          return { done: false, value: item };
        },
        return: async () => {
          isLeft = true;
          return { done: true, value: undefined };
        },
        [Symbol.asyncIterator]: () => reader,
      };
      return reader;
    },
    get isReplayable() {
      return !isCommitted && dropped === 0;
    },
    get isComplete() {
      return isEnded && !isCommitted && dropped === 0;
    },
    commit: () => {
      isCommitted = true;
    },
  };
}
