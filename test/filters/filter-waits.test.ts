import assert from 'node:assert/strict';
import type { Call } from '../../server/core/call.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { base, type Ctx, inbound, never, statusOf } from './bed/bad-filters.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { type AnyFilter, createInlinePipeline } from './bed/inline-pipeline.ts';
import { runCall } from './bed/run-call.ts';

const cancelled = { code: Code.CANCELLED, reason: 'GONE', message: 'gone' };

describe('waiting for a filter', () => {
  it('ends a hanging filter at its time-out, aborts its signal, and goes by its policy', async () => {
    for (const policy of ['closed', 'open'] as const) {
      let signal: AbortSignal | undefined;
      const hang = (_call: Call, ctx: Ctx) => {
        signal = ctx.signal;
        return never();
      };
      const pipeline = await createInlinePipeline([inbound(hang, policy, { timeoutMs: 50 })]);
      const call = createFakeCall();
      const running = runCall(pipeline, call);
      await pipeline.clock.advance(49);
      assert.equal(signal?.aborted, false);
      assert.equal(pipeline.filters[0]?.inFlight, 1);
      await pipeline.clock.advance(1);
      const { error } = await running;
      assert.equal(error?.reason, policy === 'closed' ? 'FILTER_TIMED_OUT' : undefined);
      if (policy === 'closed') assert.equal(error?.code, Code.UNAVAILABLE);
      assert.equal(signal?.aborted, true);
      assert.equal(statusOf(pipeline, call), 'timed_out()');
      assert.deepEqual([pipeline.filters[0]?.inFlight, pipeline.clock.waiting], [0, 0]);
    }
  });

  it('drops and counts a result that comes after the time-out, also a rejection', async () => {
    for (const settle of ['resolve', 'reject'] as const) {
      const late = Promise.withResolvers<unknown>();
      const pipeline = await createInlinePipeline([inbound(() => late.promise, 'open', { timeoutMs: 10 })]);
      const call = createFakeCall();
      const running = runCall(pipeline, call);
      await pipeline.clock.advance(10);
      const { responses } = await running;
      late[settle]({ messages: ['too late'] });
      await pipeline.clock.advance(0);
      assert.deepEqual(responses, ['request']);
      assert.equal(pipeline.filters[0]?.counts.late, 1);
      assert.equal(statusOf(pipeline, call), 'timed_out()');
    }
  });

  it('stops waiting at once when the call is aborted, whatever the policy', async () => {
    let signal: AbortSignal | undefined;
    let after = 0;
    const hang = (_call: Call, ctx: Ctx) => {
      signal = ctx.signal;
      return never();
    };
    const next: AnyFilter = { ...base, order: 1, id: 'test.next', type: 'inbound', run: () => void after++ };
    const pipeline = await createInlinePipeline([inbound(hang, 'open'), next]);
    const call = createFakeCall();
    const running = runCall(pipeline, call);
    const reason = new AppError({ code: Code.CANCELLED, reason: 'CALL_CANCELLED', message: 'gone' });
    call.abort(reason);
    assert.equal((await running).error, reason);
    assert.equal(signal?.reason, reason);
    assert.equal(after, 0);
    assert.equal(statusOf(pipeline, call), 'failed(call_aborted)');
    assert.equal(pipeline.filters[0]?.counts.failed, 0);
    assert.equal(pipeline.clock.waiting, 0);
  });

  it('releases what still waits when the call ends', async () => {
    const pipeline = await createInlinePipeline([inbound(never)]);
    const session = pipeline.open(createFakeCall());
    const pending = assert.rejects(Promise.resolve(session?.inbound?.()), { reason: 'CALL_ABORTED' });
    session?.end?.({ code: Code.CANCELLED, error: undefined, durationMs: 1, requestMessages: 0, responseMessages: 0 });
    await pending;
    assert.deepEqual([pipeline.filters[0]?.inFlight, pipeline.snapshot.calls()], [0, 0]);
  });

  it('admits exactly maxConcurrent runs at once, and goes by the policy beyond', async () => {
    for (const policy of ['closed', 'open'] as const) {
      const gate = Promise.withResolvers<void>();
      const pipeline = await createInlinePipeline([inbound(() => gate.promise, policy, { maxConcurrent: 3 })]);
      const calls = Array.from({ length: 5 }, () => createFakeCall());
      const running = calls.map((call) => runCall(pipeline, call));
      gate.resolve();
      const results = await Promise.all(running);
      const reasons = results.map(({ error }) => error?.reason);
      const beyond = policy === 'closed' ? 'FILTER_OVERLOADED' : undefined;
      assert.deepEqual(reasons, [undefined, undefined, undefined, beyond, beyond]);
      assert.equal(pipeline.filters[0]?.counts.overloaded, 2);
      const last = calls[4];
      assert.ok(last);
      assert.equal(statusOf(pipeline, last), 'failed(overloaded)');
      assert.equal((await runCall(pipeline, createFakeCall())).error, undefined, 'permits came back');
    }
  });

  it('waits for an error filter also when the call was aborted, up to its time-out', async () => {
    const done: string[] = [];
    const slow: AnyFilter = {
      ...{ ...base, id: 'test.slow', type: 'error' },
      run: async (_call: Call, ctx: Ctx) => {
        await ctx.clock.sleep(20, ctx.signal);
        done.push('slow');
      },
    };
    const pipeline = await createInlinePipeline([slow]);
    const call = createFakeCall();
    call.abort();
    const running = runCall(pipeline, call, { endpoint: () => Promise.reject(new AppError(cancelled)) });
    await pipeline.clock.advance(0);
    await pipeline.clock.advance(20);
    assert.equal((await running).error?.reason, 'GONE');
    assert.deepEqual(done, ['slow']);
  });
});
