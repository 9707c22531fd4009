import type { FinishedSpan } from './finished-span.ts';

/** Keeps whole recent traces in memory, oldest dropped first. */
export interface RecentTraces {
  /** A span that is kept already changes nothing. */
  add(span: FinishedSpan): void;
  /** Spans by start time; undefined when the trace is not kept. */
  get(traceId: string): KeptTrace | undefined;
  /** Newest first. */
  list(limit: number): KeptTrace[];
  stats(): { traces: number; droppedTraces: number; droppedSpans: number };
}

/** A trace as far as it is kept. */
export interface KeptTrace {
  readonly traceId: string;
  readonly spans: readonly FinishedSpan[];
  /** Spans past its bound. */
  readonly droppedSpans: number;
}

/** Bounds of what is kept. */
export interface RecentTracesOptions {
  /** Traces kept at once; 0 keeps none. */
  readonly maxTraces: number;
  /** Further spans of a trace are counted, not kept (default 2,000). */
  readonly maxSpansPerTrace?: number;
}

interface Kept {
  /** By id. */
  readonly spans: Map<string, FinishedSpan>;
  dropped: number;
}

/** Holds no trace yet. What its bounds drop is counted. */
export function createRecentTraces({ maxTraces, maxSpansPerTrace = 2_000 }: RecentTracesOptions): RecentTraces {
  const traces = new Map<string, Kept>();
  let droppedTraces = 0;
  let droppedSpans = 0;

  const keep = (traceId: string) => {
    const kept: Kept = { spans: new Map(), dropped: 0 };
    traces.set(traceId, kept);
    for (const oldest of traces.keys()) {
      if (traces.size <= maxTraces) break;
      traces.delete(oldest);
      droppedTraces++;
    }
    return kept;
  };
  const present = (traceId: string, kept: Kept): KeptTrace => ({
    traceId,
    spans: [...kept.spans.values()].sort((a, b) => a.startMs - b.startMs),
    droppedSpans: kept.dropped,
  });
  return {
    add: (span) => {
      if (maxTraces === 0) return;
      const kept = traces.get(span.traceId) ?? keep(span.traceId);
      if (kept.spans.has(span.spanId)) return;
      if (kept.spans.size < maxSpansPerTrace) {
        kept.spans.set(span.spanId, span);
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
