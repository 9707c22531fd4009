import { metrics, type ObservableResult } from '@opentelemetry/api';
import type { CallRecord } from './call/call-record.ts';
import { firstSkip, Status, statusWords } from './call/filter-status.ts';
import type { LoadedFilter } from './load/loaded-filter.ts';
import type { Slot } from './set/snapshot.ts';

/** The engine's instruments. Labels are bounded: filter id, type, status. */
export interface FilterMetrics {
  /** Times of the filters that took part in an ended call. */
  ended(record: CallRecord, slots: readonly Slot[]): void;
  failed(filter: LoadedFilter, status: Status): void;
  late(filter: LoadedFilter): void;
  blocked(filter: LoadedFilter, heldMs: number): void;
  reloaded(result: 'ok' | 'unchanged' | 'failed'): void;
  /** Publishes the number of closed versions that are still held; the returned function withdraws it. */
  observeUncollected(read: () => number): () => void;
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
  return {
    ended: (record, slots) => {
      for (const { index, filter } of slots) {
        const status = record.status[index] ?? Status.pending;
        if (status === Status.pending || status >= firstSkip) continue;
        const ns = record.ns[index] ?? 0;
        filter.times.add(ns);
        duration.record(ns / 1e9, filter.attributes[statusWords(status).status]);
      }
    },
    failed: (filter, status) => {
      const { status: word, detail } = statusWords(status);
      failures.add(1, { filter: filter.id, type: filter.type, reason: detail || word });
    },
    late: (filter) => late.add(1, { filter: filter.id, type: filter.type }),
    blocked: (filter, heldMs) => blocks.record(heldMs / 1e3, { filter: filter.id, type: filter.type }),
    reloaded: (result) => reloads.add(1, { result }),
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
