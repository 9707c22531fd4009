import type { HrTime } from '@opentelemetry/api';
import { SpanStatusCode } from '@opentelemetry/api';
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace';
import type { FinishedSpan, SpanKindName } from './finished-span.ts';

const kindNames: readonly SpanKindName[] = ['internal', 'server', 'client', 'producer', 'consumer'];
const listeners = new Set<(span: FinishedSpan) => void>();
let processName = 'showrunner';

/** Names this process in its spans, e.g. `server`. */
export function setProcessName(name: string): void {
  processName = name;
}

/**
 * Hears every span that ends in this process from now on; the returned function ends that.
 * The feed belongs to the process because OpenTelemetry's own provider does.
 */
export function onFinishedSpan(listener: (span: FinishedSpan) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Feeds the listeners; installed once by the preload. */
export function createFeedProcessor(): SpanProcessor {
  return {
    onStart: () => {},
    onEnd: (span) => {
      if (listeners.size === 0) return;
      const finished = toFinishedSpan(span);
      for (const listener of listeners) listener(finished);
    },
    forceFlush: async () => {},
    shutdown: async () => {},
  };
}

function milliseconds([seconds, nanos]: HrTime): number {
  return seconds * 1000 + nanos / 1e6;
}

function texts(values: Readonly<Record<string, unknown>> | undefined): Record<string, string> {
  const entries = Object.entries(values ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([key, value]) => [key, String(value)]));
}

function toFinishedSpan(span: ReadableSpan): FinishedSpan {
  const { traceId, spanId } = span.spanContext();
  return {
    traceId,
    spanId,
    parentSpanId: span.parentSpanContext?.spanId ?? '',
    name: span.name,
    kind: kindNames[span.kind] ?? 'internal',
    process: processName,
    startMs: milliseconds(span.startTime),
    durationMs: milliseconds(span.duration),
    attributes: texts(span.attributes),
    events: span.events.map((event) => ({ name: event.name, text: Object.values(texts(event.attributes)).join(' ') })),
    error: span.status.code === SpanStatusCode.ERROR ? span.status.message || 'error' : '',
  };
}
