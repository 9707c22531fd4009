import { durationMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { Tier } from '../../../proto/gen/showrunner/ranking/v1/ranking_pb.ts';
import type { RecommendResponse } from '../../../proto/gen/showrunner/ranking/v1/ranking_service_pb.ts';
import type { Span } from '../../../proto/gen/showrunner/telemetry/v1/trace_service_pb.ts';
import type { FinishedSpan, SpanKindName } from '../../core/telemetry/finished-span.ts';
import { formatTraceTree } from '../../core/telemetry/trace-tree.ts';
import { formatTable } from '../terminal/table.ts';
import type { StepResult } from './demo-steps.ts';

/** What happened, step by step. */
export function formatSteps(results: readonly StepResult[]): string {
  const rows = results.map(({ name, outcome, durationMs }) => [name, `${(durationMs / 1000).toFixed(2)} s`, outcome]);
  return formatTable([['step', 'time', 'outcome'], ...rows], [1]);
}

function titlesOf(page: RecommendResponse): string[] {
  return (page.rows[0]?.recommendations ?? []).map(({ title }) => title?.displayName ?? '?');
}

function tierOf({ provenance }: RecommendResponse): string {
  const name = Object.entries(Tier).find(([, value]) => value === provenance?.tier)?.[0] ?? '?';
  return `${name}, ${provenance?.eventsApplied} events`;
}

/** The member's first row before and after the play, side by side; moved or new titles carry their old place. */
export function formatPages(before: RecommendResponse, after: RecommendResponse): string {
  const old = titlesOf(before);
  const rows = titlesOf(after).map((name, index) => {
    const was = old.indexOf(name);
    const move = was < 0 ? 'new' : was === index ? '' : `was ${was + 1}`;
    return [String(index + 1), old[index] ?? '', name, move];
  });
  return formatTable([['', `before (${tierOf(before)})`, `after (${tierOf(after)})`, ''], ...rows], [0]);
}

/** Spans that only show how a library works. */
const plumbing =
  /\.(getNextJob|extendLocks|moveStalledJobsToWait|promoteDelayed|addBulk|addNode|complete|delay|retry)$/;

/** The trace as a tree of calls, jobs, rules and pushes. */
export function formatDemoTrace(traceId: string, spans: readonly Span[]): string {
  const finished = spans.map(
    (span): FinishedSpan => ({
      traceId,
      spanId: span.spanId,
      parentSpanId: span.parentSpanId,
      name: span.name,
      kind: span.kind as SpanKindName,
      process: span.process,
      startMs: span.startTime ? timestampMs(span.startTime) : 0,
      durationMs: span.duration ? durationMs(span.duration) : 0,
      attributes: span.attributes,
      events: [],
      error: span.error,
    }),
  );
  // A call in this process shows twice, as client and as server: the server's span is enough.
  const keep = (span: FinishedSpan) => span.kind !== 'client' && !plumbing.test(span.name);
  return formatTraceTree(finished, { keep, maxLikeSiblings: 4 });
}
