import assert from 'node:assert/strict';
import { startChildScript } from '../support/child-script.ts';

const preload = new URL('../../server/core/telemetry/preload.ts', import.meta.url);
const script = new URL('fixtures/traced-calls.ts', import.meta.url);
const originScript = new URL('fixtures/traced-origin.ts', import.meta.url);

interface PrintedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly kind: string;
  readonly target?: string;
}

describe('rpc under tracing', () => {
  it('ends a server span for every call, a cancelled stream included, and keeps it active in every pull', async () => {
    const child = startChildScript(script, [], ['env', `NODE_OPTIONS=--import=${preload.href}`]);
    assert.equal(await child.ended, 0, child.errors());
    const seen = JSON.parse(child.lines[0] ?? '{}');
    assert.deepEqual(seen.spans, ['Chat 0', 'Echo 0', 'Join 13', 'Repeat 1'], 'health checks make none');
    assert.deepEqual(seen.active, ['finally: true', 'pull: true', 'unary: true']);
    assert.equal(seen.trailer, 'kept', 'tracing wraps the unary callback and drops trailers given to it');
  });

  it('makes a client span of a call of an origin, and the server span there its child', async () => {
    const child = startChildScript(originScript, [], ['env', `NODE_OPTIONS=--import=${preload.href}`]);
    assert.equal(await child.ended, 0, child.errors());
    const { spans, origin } = JSON.parse(child.lines[0] ?? '{}') as { spans: PrintedSpan[]; origin: string };
    const client = spans.find(({ target }) => target === origin) ?? assert.fail('no client span of the origin');
    const there = spans.find(({ parentSpanId }) => parentSpanId === client.spanId);
    const here = spans.find(({ spanId }) => spanId === client.parentSpanId);
    assert.deepEqual([client.kind, there?.kind, here?.kind], ['client', 'server', 'server']);
    assert.equal(new Set([client.traceId, there?.traceId, here?.traceId]).size, 1);
  });
});
