/** Exporters hold spans and metrics back to send them in batches. */
const flushers = new Set<() => Promise<void>>();

/** Registers how an exporter sends what it holds back; for the preload. */
export function onFlush(flush: () => Promise<void>): void {
  flushers.add(flush);
}

/**
 * Sends what exporters hold back: the last step of a process, after which nothing is exported. False when that took
 * over `timeoutMs` (default 2,000): an exporter that still tries would keep the process alive. Never rejects, as an
 * unreachable collector must not change how a process ends.
 */
export async function flushTelemetry(timeoutMs = 2_000): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), timeoutMs);
  const flushed = Promise.allSettled([...flushers].map((flush) => flush())).then(() => true);
  const isDone = await Promise.race([flushed, late]);
  clearTimeout(timer);
  return isDone;
}
