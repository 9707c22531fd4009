import { metrics } from '@opentelemetry/api';

/** Namespaces with counters of their own, at most: callers choose the names, and each costs the metrics a series. */
const maxNamespaces = 100;
const others = '_other';

/** What an operation came to; a bulk read has one for each key. */
export type CacheOutcome =
  | 'hit'
  | 'miss'
  | 'stored'
  | 'not_stored'
  | 'deleted'
  | 'not_deleted'
  | 'touched'
  | 'not_touched';

/** Counts of the cache's operations by namespace. */
export interface NamespaceCounters {
  /** Adds `count` outcomes to the namespace's counter `cache_operations`. */
  add(namespace: string, outcome: CacheOutcome, count?: number): void;
  /** Totals by namespace since the start; namespaces past the first 100 are counted together as `_other`. */
  totals(): ReadonlyMap<string, Readonly<Partial<Record<CacheOutcome, number>>>>;
}

/** Counts what the cache does by namespace, in memory and as the OpenTelemetry counter `cache_operations`. */
export function createNamespaceCounters(): NamespaceCounters {
  const counter = metrics.getMeter('showrunner.cache').createCounter('cache_operations');
  const totals = new Map<string, Partial<Record<CacheOutcome, number>>>();

  return {
    add: (namespace, outcome, count = 1) => {
      if (count === 0) return;
      const label = totals.has(namespace) || totals.size < maxNamespaces ? namespace : others;
      const ofNamespace = totals.get(label) ?? {};
      ofNamespace[outcome] = (ofNamespace[outcome] ?? 0) + count;
      totals.set(label, ofNamespace);
      counter.add(count, { namespace: label, outcome });
    },
    totals: () => totals,
  };
}
