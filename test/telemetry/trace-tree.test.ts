import assert from 'node:assert/strict';
import type { FinishedSpan } from '../../server/core/telemetry/finished-span.ts';
import { createRecentTraces } from '../../server/core/telemetry/recent-traces.ts';
import { formatTraceTree } from '../../server/core/telemetry/trace-tree.ts';

function span(spanId: string, parentSpanId: string, name: string, startMs: number, over: Partial<FinishedSpan> = {}) {
  const base = { traceId: 't1', kind: 'internal' as const, process: 'server', attributes: {}, events: [], error: '' };
  return { ...base, spanId, parentSpanId, name, startMs, durationMs: 5, ...over };
}

describe('the trace tree', () => {
  it('shows children under their parent in order of their start, with errors', () => {
    const spans = [
      span('c', 'a', 'second', 20, { error: 'boom' }),
      span('b', 'a', 'first', 10, { process: 'worker-1', durationMs: 123 }),
      span('a', '', 'root', 0),
      span('d', 'b', 'inner', 11),
    ];
    assert.equal(
      formatTraceTree(spans),
      [
        'root  [server]  +0 ms, 5.0 ms',
        '├─ first  [worker-1]  +10 ms, 123 ms',
        '│  └─ inner  [server]  +11 ms, 5.0 ms',
        '└─ second  [server]  +20 ms, 5.0 ms  ! boom',
      ].join('\n'),
    );
  });

  it('moves the children of a span that is left out up to its nearest kept ancestor', () => {
    const spans = [span('a', '', 'root', 0), span('b', 'a', 'noise', 1), span('c', 'b', 'leaf', 2)];
    assert.equal(
      formatTraceTree(spans, { keep: ({ name }) => name !== 'noise' }),
      'root  [server]  +0 ms, 5.0 ms\n└─ leaf  [server]  +2 ms, 5.0 ms',
    );
  });

  it('counts like-named siblings over the limit instead of showing them', () => {
    const spans = [span('a', '', 'root', 0), ...[1, 2, 3, 4].map((i) => span(`s${i}`, 'a', 'push', i))];
    assert.match(formatTraceTree(spans, { maxLikeSiblings: 2 }), /… 2 more push$/);
  });

  it('ends on parents that form a ring', () => {
    assert.equal(typeof formatTraceTree([span('a', 'b', 'x', 0), span('b', 'a', 'y', 1)]), 'string');
  });

  it('shows a span once that came twice, also where one of both makes a ring', () => {
    const chain = Array.from({ length: 30 }, (_, at) => span(`s${at}`, at === 0 ? '' : `s${at - 1}`, 'step', at));
    assert.equal(formatTraceTree([...chain, ...chain]).split('\n').length, 30);
    const ring = [span('a', '', 'x', 0), span('b', 'a', 'y', 1), span('a', 'b', 'x', 0)];
    assert.equal(typeof formatTraceTree(ring), 'string');
  });
});

describe('recent traces', () => {
  it('keep a span once that a worker sent twice', () => {
    const traces = createRecentTraces({ maxTraces: 2, maxSpansPerTrace: 2 });
    for (const id of ['a', 'b', 'b', 'a']) traces.add(span(id, '', id, 0));
    assert.deepEqual(
      traces.get('t1')?.spans.map(({ spanId }) => spanId),
      ['a', 'b'],
    );
    assert.equal(traces.stats().droppedSpans, 0);
  });

  it('keep the newest traces and count what they drop', () => {
    const traces = createRecentTraces({ maxTraces: 2, maxSpansPerTrace: 2 });
    for (const traceId of ['t1', 't2', 't3']) traces.add({ ...span('a', '', 'root', 0), traceId });
    for (const id of ['b', 'c', 'd']) traces.add({ ...span(id, 'a', 'more', 1), traceId: 't3' });
    assert.equal(traces.get('t1'), undefined);
    assert.equal(traces.get('t3')?.spans.length, 2);
    assert.equal(traces.get('t3')?.droppedSpans, 2);
    assert.deepEqual(
      traces.list(10).map(({ traceId }) => traceId),
      ['t3', 't2'],
    );
    assert.deepEqual(traces.stats(), { traces: 2, droppedTraces: 1, droppedSpans: 2 });
  });
});
