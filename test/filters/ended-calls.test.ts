import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { exposedGc } from '../support/exposed-gc.ts';
import { base } from './bed/bad-filters.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { type AnyFilter, createInlinePipeline } from './bed/inline-pipeline.ts';

const outcome = { code: Code.OK, error: undefined, durationMs: 1, requestMessages: 1, responseMessages: 1 };
const inFlight = 64;

describe('ended calls', () => {
  it('are gone with the next small collection: they do not wait for a full one', async () => {
    const gc = exposedGc();
    const filter: AnyFilter = { ...base, id: 'test.a', type: 'inbound', run: () => {}, onEnd: () => {} };
    const pipeline = await createInlinePipeline([filter]);
    const sessions: ReturnType<typeof pipeline.open>[] = new Array(inFlight).fill(undefined);
    // One for all: what else the test makes per call might be taken for long-lived, and be allocated as such.
    const call = createFakeCall();
    const pass = (calls: number) => {
      for (let n = 0; n < calls; n++) {
        sessions[n % inFlight]?.end?.(outcome);
        const session = pipeline.open(call);
        void session?.inbound?.();
        sessions[n % inFlight] = session && Object.assign(session, { held: new Array(200).fill(n) });
      }
    };
    pass(2_000);
    // What the set keeps its calls in is in the old generation afterwards.
    gc();
    gc();
    const before = process.memoryUsage().heapUsed;
    let mostMb = 0;
    for (let round = 0; round < 20; round++) {
      pass(500);
      gc({ type: 'minor' });
      mostMb = Math.max(mostMb, (process.memoryUsage().heapUsed - before) / 2 ** 20);
    }
    assert.ok(mostMb < 2, `${mostMb.toFixed(1)} MiB more`);
  });
});
