import { metrics } from '@opentelemetry/api';
import { storeClosed, storeOverloaded } from '../store-errors.ts';

/** Readers waiting on all logs together, at most. */
const maxWaiters = 100_000;

interface Waiter {
  readonly after: bigint;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Readers that wait for appends, by log; 100,000 at most. */
export interface AppendWaiters {
  /** Resolves once `notify` names a newer offset; rejects on abort, with STORE_OVERLOADED or, on `close`, STORE_CLOSED. */
  wait(log: string, after: bigint, signal: AbortSignal): Promise<void>;
  notify(log: string, newest: bigint): void;
  /** Rejects all who wait with STORE_CLOSED. */
  close(): void;
}

/** Readers that wait for a log to grow, woken by the appender without polling. */
export function createAppendWaiters(): AppendWaiters {
  const refused = metrics.getMeter('showrunner.events').createCounter('event_log_waits_refused');
  const waiters = new Map<string, Set<Waiter>>();
  let count = 0;

  function remove(log: string, waiter: Waiter): void {
    const ofLog = waiters.get(log);
    if (!ofLog?.delete(waiter)) return;
    count--;
    if (ofLog.size === 0) waiters.delete(log);
  }

  return {
    wait: (log, after, signal) => {
      if (count >= maxWaiters) {
        refused.add(1);
        return Promise.reject(storeOverloaded('events', 'readers', count));
      }
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const waiter = { after, resolve, reject };
      const onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      waiters.set(log, (waiters.get(log) ?? new Set<Waiter>()).add(waiter));
      count++;
      if (signal.aborted) onAbort();
      return promise.finally(() => {
        signal.removeEventListener('abort', onAbort);
        remove(log, waiter);
      });
    },
    notify: (log, newest) => {
      for (const waiter of waiters.get(log) ?? []) if (newest > waiter.after) waiter.resolve();
    },
    close: () => {
      for (const ofLog of waiters.values()) for (const waiter of ofLog) waiter.reject(storeClosed('events'));
    },
  };
}
