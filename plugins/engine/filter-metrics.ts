import { metrics, type ObservableResult } from '@opentelemetry/api';
import type { CallRecord } from './call/call-record.ts';
import { firstSkip, Status, statusWords } from './call/filter-status.ts';
import type { LoadedFilter } from './load/loaded-filter.ts';
import type { Chain } from './set/snapshot.ts';

/** The engine's instruments. Labels are bounded: filter id, type, status, and so many methods. */
export interface FilterMetrics {
  /** Times of the filters that took part in an ended call. */
  ended(record: CallRecord, chain: Chain): void;
  failed(filter: LoadedFilter, status: Status): void;
  late(filter: LoadedFilter): void;
  blocked(filter: LoadedFilter, heldMs: number): void;
  reloaded(result: 'ok' | 'unchanged' | 'failed'): void;
  /** A filter left its calls because it kept failing. */
  quarantined(filter: string): void;
  /** Publishes the number of closed versions that are still held; the returned function withdraws it. */
  observeUncollected(read: () => number): () => void;
}

/** Methods that have a label of their own. */
const maxMethods = 200;

/** Label of a method: its path, or `other` for methods without a handler (callers make those up) and past the bound. */
function createMethodLabels(): (chain: Chain) => string {
  const named = new Set<string>();
  return ({ path, known }) => {
    if (!known || (named.size >= maxMethods && !named.has(path))) return 'other';
    named.add(path);
    return path;
  };
}

/** Made when the engine is, so after telemetry has started: the API's meters do not connect later. */
export function createFilterMetrics(): FilterMetrics {
  const meter = metrics.getMeter('showrunner.filters');
  const duration = meter.createHistogram('showrunner.filter.duration', {
    description: 'Time in one filter per call, waits included.',
    unit: 's',
    advice: { explicitBucketBoundaries: [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10] },
  });
  const failures = meter.createCounter('showrunner.filter.failures', {
    description: 'Filters that threw, gave a wrong result, had too many runs at once, or took too long.',
  });
  const late = meter.createCounter('showrunner.filter.late_results', {
    description: 'Results that came after the filter had timed out; they are dropped.',
  });
  const blocks = meter.createHistogram('showrunner.filter.loop_blocks', {
    description: 'Runs in which a filter held the event loop for more than 50 ms.',
    unit: 's',
  });
  const reloads = meter.createCounter('showrunner.filter.reloads', { description: 'Reloads of the filter set.' });
  const quarantines = meter.createCounter('showrunner.filter.quarantines', {
    description: 'Filters that left their calls because they kept failing.',
  });
  const methodOf = createMethodLabels();
  return {
    ended: (record, chain) => {
      for (const { index, filter, labels } of chain.slots) {
        const status = record.status[index] ?? Status.pending;
        if (status === Status.pending || status >= firstSkip) continue;
        const ns = record.ns[index] ?? 0;
        filter.times.add(ns);
        labels[status] ??= {
          ...{ filter: filter.id, type: filter.type },
          ...{ method: methodOf(chain), status: statusWords(status).status },
        };
        duration.record(ns / 1e9, labels[status]);
      }
    },
    failed: (filter, status) => {
      const { status: word, detail } = statusWords(status);
      failures.add(1, { filter: filter.id, type: filter.type, reason: detail || word });
    },
    late: (filter) => late.add(1, { filter: filter.id, type: filter.type }),
    blocked: (filter, heldMs) => blocks.record(heldMs / 1e3, { filter: filter.id, type: filter.type }),
    reloaded: (result) => reloads.add(1, { result }),
    quarantined: (filter) => quarantines.add(1, { filter }),
    observeUncollected: (read) => {
      const gauge = meter.createObservableGauge('showrunner.filter.versions_uncollected', {
        description: 'Closed versions of filters that are not collected yet.',
      });
      const observe = (result: ObservableResult) => result.observe(read());
      gauge.addCallback(observe);
      return () => gauge.removeCallback(observe);
    },
  };
}
