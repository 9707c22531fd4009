import { ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import type { Telemetry } from 'bullmq';
import { BullMQOtel } from 'bullmq-otel';

/**
 * Telemetry of BullMQ through the global OpenTelemetry API: the producer's context travels with the job and
 * the worker's span continues it. BullMQ's internal spans (lock renewal, stall checks: several a second
 * for as long as a worker lives) are left out, so that they neither cost nor bury the calls' traces.
 */
export function createQueueTelemetry(): Telemetry {
  const otel = new BullMQOtel({ tracerName: 'showrunner.queue' });
  const { contextManager, tracer } = otel;
  return {
    contextManager: {
      with: (context, fn) => contextManager.with(context, fn),
      active: () => contextManager.active(),
      root: () => ROOT_CONTEXT,
      getMetadata: (context) => contextManager.getMetadata(context),
      fromMetadata: (active, metadata) => contextManager.fromMetadata(active, metadata),
    },
    tracer: {
      startSpan: (name, options, context) => {
        if (options?.kind !== undefined && Number(options.kind) !== SpanKind.INTERNAL) {
          return tracer.startSpan(name, options, context);
        }
        return unrecorded;
      },
    },
  };
}

/** A span that leaves the context as it is, so that what runs inside keeps its real parent. */
const unrecorded: ReturnType<Telemetry['tracer']['startSpan']> = {
  setSpanOnContext: (context) => context,
  setAttribute: () => {},
  setAttributes: () => {},
  addEvent: () => {},
  recordException: () => {},
  end: () => {},
};

/** Names the span that BullMQ opened around the running job by its kind. */
export function nameJobSpan(kind: string, attributes: Record<string, string | number>): void {
  trace.getActiveSpan()?.updateName(`job ${kind}`).setAttributes(attributes);
}
