import type { Clock } from '../core/clock.ts';

/**
 * The items as they come, and undefined whenever none came for `everyMs`. Ends with them; rejects with their error and,
 * once it is aborted, with the signal's reason.
 */
export async function* withPulse<T>(
  items: AsyncIterable<T>,
  everyMs: number,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<T | undefined, void> {
  const source = items[Symbol.asyncIterator]();
  let coming = source.next();
  try {
    for (;;) {
      const came = new AbortController();
      const pulse = clock.sleep(everyMs, AbortSignal.any([signal, came.signal])).then(
        () => undefined,
        // Cut short by the item, or by the end that the next look meets.
        () => undefined,
      );
      const item = await Promise.race([coming, pulse]).finally(() => came.abort());
      if (item?.done) return;
      if (item !== undefined) coming = source.next();
      else signal.throwIfAborted();
      yield item?.value;
    }
  } finally {
    // What is still to come is nobody's any more.
    coming.catch(() => {});
    source.return?.().catch(() => {});
  }
}
