import { TraceService } from '../../proto/gen/showrunner/telemetry/v1/trace_service_pb.ts';
import { Code } from '../core/codes.ts';
import { AppError, invalidField } from '../core/errors.ts';
import type { FinishedSpan } from '../core/telemetry/finished-span.ts';
import type { KeptTrace, RecentTraces } from '../core/telemetry/recent-traces.ts';
import { formatTraceTree } from '../core/telemetry/trace-tree.ts';
import { type ServiceRegistration, serviceOf } from '../rpc/handler.ts';

const defaultPageSize = 50;
const maxPageSize = 500;

/** NOT_FOUND: the trace is not, or no longer, in memory. */
const traceNotKept = (traceId: string) =>
  new AppError({
    code: Code.NOT_FOUND,
    reason: 'TRACE_NOT_KEPT',
    message: `Trace ${traceId} is not kept; SHOWRUNNER_TRACES_KEPT says how many are.`,
    metadata: { trace_id: traceId },
  });

/** Serves the traces that this server keeps in memory. */
export function createTraceService(traces: RecentTraces): ServiceRegistration {
  return serviceOf(TraceService, {
    getTrace: async ({ traceId }) => {
      if (!/^[0-9a-f]{32}$/.test(traceId)) throw invalidField('trace_id', 'expected 32 lower-case hex digits');
      const trace = traces.get(traceId);
      if (!trace) throw traceNotKept(traceId);
      return {
        spans: trace.spans.map(toSpan),
        tree: formatTraceTree(trace.spans),
        droppedSpans: trace.droppedSpans,
      };
    },
    listTraces: async ({ pageSize }) => {
      if (pageSize < 0) throw invalidField('page_size', `expected 0 or more, got ${pageSize}`);
      const limit = Math.min(pageSize === 0 ? defaultPageSize : pageSize, maxPageSize);
      return { traces: traces.list(limit).map(toSummary) };
    },
  });
}

/** Spans are timed to the microsecond and finer: proto's own helpers take whole milliseconds only. */
function secondsAndNanos(ms: number): { seconds: bigint; nanos: number } {
  const nanos = Math.round(ms * 1e6);
  return { seconds: BigInt(Math.floor(nanos / 1e9)), nanos: nanos % 1e9 };
}

function toSpan(span: FinishedSpan) {
  return {
    spanId: span.spanId,
    parentSpanId: span.parentSpanId,
    name: span.name,
    kind: span.kind,
    process: span.process,
    startTime: secondsAndNanos(span.startMs),
    duration: secondsAndNanos(span.durationMs),
    attributes: { ...span.attributes },
    error: span.error,
  };
}

function toSummary({ traceId, spans }: KeptTrace) {
  const first = spans[0];
  const startMs = first?.startMs ?? 0;
  const endMs = Math.max(...spans.map((span) => span.startMs + span.durationMs));
  return {
    traceId,
    rootName: first?.name ?? '',
    spanCount: spans.length,
    startTime: secondsAndNanos(startMs),
    duration: secondsAndNanos(endMs - startMs),
    hasError: spans.some((span) => span.error !== ''),
  };
}
