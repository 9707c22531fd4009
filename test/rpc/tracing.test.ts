import assert from 'node:assert/strict';
import { startChildScript } from '../support/child-script.ts';

const preload = new URL('../../server/core/telemetry/preload.ts', import.meta.url);
const script = new URL('fixtures/traced-calls.ts', import.meta.url);

describe('rpc under tracing', () => {
  it('ends a server span for every call, a cancelled stream included, and keeps it active in every pull', async () => {
    const child = startChildScript(script, [], ['env', `NODE_OPTIONS=--import=${preload.href}`]);
    assert.equal(await child.ended, 0, child.errors());
    const seen = JSON.parse(child.lines[0] ?? '{}');
    assert.deepEqual(seen.spans, ['Chat 0', 'Echo 0', 'Join 13', 'Repeat 1'], 'health checks make none');
    assert.deepEqual(seen.active, ['finally: true', 'pull: true', 'unary: true']);
    assert.equal(seen.trailer, 'kept', 'tracing wraps the unary callback and drops trailers given to it');
  });
});
