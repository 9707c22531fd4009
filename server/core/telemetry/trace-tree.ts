import type { FinishedSpan } from './finished-span.ts';

/** What of a trace is shown. */
export interface TraceTreeOptions {
  /** Leave out spans for which this is false; their children move up to the nearest kept ancestor. */
  readonly keep?: (span: FinishedSpan) => boolean;
  /** More than this many like-named siblings are shown as one line with a count (default 6). */
  readonly maxLikeSiblings?: number;
}

/**
 * A trace as an indented tree: one line a span with its start relative to the first, its duration, its process
 * and, where it failed, its error. Spans whose parent is not at hand stand at the root.
 */
export function formatTraceTree(spans: readonly FinishedSpan[], options: TraceTreeOptions = {}): string {
  const { keep = () => true, maxLikeSiblings = 6 } = options;
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const children = new Map<string, FinishedSpan[]>();
  // One of each id: a span that came twice would be shown with all below it twice, or in a ring.
  for (const span of byId.values()) {
    if (!keep(span)) continue;
    const parent = keptAncestor(span, byId, keep);
    const siblings = children.get(parent);
    if (siblings) siblings.push(span);
    else children.set(parent, [span]);
  }
  const originMs = Math.min(...spans.map((span) => span.startMs));
  const lines: string[] = [];
  const visit = (parent: string, indent: string) => {
    const siblings = (children.get(parent) ?? []).toSorted((a, b) => a.startMs - b.startMs);
    const shown = limitLikeNamed(siblings, maxLikeSiblings);
    for (const [index, entry] of shown.entries()) {
      const isLast = index === shown.length - 1;
      const branch = parent === '' ? '' : isLast ? '└─ ' : '├─ ';
      if (typeof entry === 'string') {
        lines.push(`${indent}${branch}${entry}`);
        continue;
      }
      lines.push(`${indent}${branch}${describe(entry, originMs)}`);
      visit(entry.spanId, parent === '' ? '' : `${indent}${isLast ? '   ' : '│  '}`);
    }
  };
  visit('', '');
  return lines.join('\n');
}

/** The span id under which a span is shown: '' for the root. Guards against parents that form a ring. */
function keptAncestor(
  span: FinishedSpan,
  byId: ReadonlyMap<string, FinishedSpan>,
  keep: (span: FinishedSpan) => boolean,
): string {
  const seen = new Set<string>([span.spanId]);
  for (let parent = byId.get(span.parentSpanId); parent; parent = byId.get(parent.parentSpanId)) {
    if (seen.has(parent.spanId)) return '';
    if (keep(parent)) return parent.spanId;
    seen.add(parent.spanId);
  }
  return '';
}

function limitLikeNamed(siblings: readonly FinishedSpan[], most: number): (FinishedSpan | string)[] {
  const counts = new Map<string, number>();
  const shown: (FinishedSpan | string)[] = [];
  for (const span of siblings) {
    const count = (counts.get(span.name) ?? 0) + 1;
    counts.set(span.name, count);
    if (count <= most) shown.push(span);
  }
  for (const [name, count] of counts) if (count > most) shown.push(`… ${count - most} more ${name}`);
  return shown;
}

function describe(span: FinishedSpan, originMs: number): string {
  const start = `+${(span.startMs - originMs).toFixed(0)} ms`;
  const duration = span.durationMs < 10 ? span.durationMs.toFixed(1) : span.durationMs.toFixed(0);
  const error = span.error === '' ? '' : `  ! ${span.error}`;
  return `${span.name}  [${span.process}]  ${start}, ${duration} ms${error}`;
}
