import type { FinishedSpan } from './finished-span.ts';

/** Keeps whole recent traces in memory, oldest dropped first. */
export interface RecentTraces {
  add(span: FinishedSpan): void;
  /** Spans by start time; undefined when the trace is not kept. */
  get(traceId: string): KeptTrace | undefined;
  /** Newest first. */
  list(limit: number): KeptTrace[];
  stats(): { traces: number; droppedTraces: number; droppedSpans: number };
}

export interface KeptTrace {
  readonly traceId: string;
  readonly spans: readonly FinishedSpan[];
  readonly droppedSpans: number;
}

export interface RecentTracesOptions {
  readonly maxTraces: number;
  /** Further spans of a trace are counted, not kept (default 2,000). */
  readonly maxSpansPerTrace?: number;
}

export function createRecentTraces({ maxTraces, maxSpansPerTrace = 2_000 }: RecentTracesOptions): RecentTraces {
  const traces = new Map<string, { spans: FinishedSpan[]; dropped: number }>();
  let droppedTraces = 0;
  let droppedSpans = 0;

  const keep = (traceId: string) => {
    const kept = { spans: [], dropped: 0 };
    traces.set(traceId, kept);
    for (const oldest of traces.keys()) {
      if (traces.size <= maxTraces) break;
      traces.delete(oldest);
      droppedTraces++;
    }
    return kept;
  };
  const present = (traceId: string, kept: { spans: FinishedSpan[]; dropped: number }): KeptTrace => ({
    traceId,
    spans: kept.spans.toSorted((a, b) => a.startMs - b.startMs),
    droppedSpans: kept.dropped,
  });
  return {
    add: (span) => {
      if (maxTraces === 0) return;
      const kept = traces.get(span.traceId) ?? keep(span.traceId);
      if (kept.spans.length < maxSpansPerTrace) {
        kept.spans.push(span);
        return;
      }
      kept.dropped++;
      droppedSpans++;
    },
    get: (traceId) => {
      const kept = traces.get(traceId);
      return kept && present(traceId, kept);
    },
    list: (limit) =>
      [...traces]
        .slice(-limit)
        .reverse()
        .map(([traceId, kept]) => present(traceId, kept)),
    stats: () => ({ traces: traces.size, droppedTraces, droppedSpans }),
  };
}
