import assert from 'node:assert/strict';
import type { Call } from '../../server/core/call.ts';
import { asyncBoom, boom, inbound, never, statusOf } from './bed/bad-filters.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createInlinePipeline } from './bed/inline-pipeline.ts';
import { createLogBook } from './bed/log-book.ts';
import { runCall } from './bed/run-call.ts';

describe('filters that keep failing', () => {
  it('are out of calls for a back-off under policy open, then tried by one call', async () => {
    const book = createLogBook();
    let isBroken = true;
    let runs = 0;
    const pipeline = await createInlinePipeline(
      [
        inbound(() => {
          runs++;
          if (isBroken) boom();
        }, 'open'),
      ],
      { log: book.log },
    );
    const take = async (count: number) => {
      const calls = [...Array(count)].map(() => createFakeCall());
      for (const call of calls) assert.equal((await runCall(pipeline, call)).error, undefined);
      return statusOf(pipeline, calls.at(-1) ?? createFakeCall());
    };
    assert.equal(await take(19), 'failed(threw)');
    assert.equal(await take(1), 'failed(threw)');
    assert.equal(await take(10), 'skipped(quarantine)');
    assert.equal(runs, 20);
    assert.equal(book.of('filter quarantined').length, 1);
    await pipeline.clock.advance(5000);
    assert.equal(await take(5), 'skipped(quarantine)');
    assert.equal(runs, 21, 'one trial, which fails');
    await pipeline.clock.advance(5000);
    await take(1);
    assert.equal(runs, 21, 'the second back-off is twice as long');
    isBroken = false;
    await pipeline.clock.advance(5000);
    assert.equal(await take(3), 'ran()');
    assert.equal(runs, 24);
    assert.equal(book.of('filter back from quarantine').length, 1);
  });

  it('whose calls fail at the same time are out for one back-off, not for one each', async () => {
    const gate = Promise.withResolvers<void>();
    let isBroken = true;
    const run = () => (isBroken ? gate.promise.then(boom) : undefined);
    const pipeline = await createInlinePipeline([inbound(run, 'open')]);
    const running = Array.from({ length: 100 }, () => runCall(pipeline, createFakeCall()));
    gate.resolve();
    await Promise.all(running);
    isBroken = false;
    await pipeline.clock.advance(5000);
    const trial = createFakeCall();
    await runCall(pipeline, trial);
    assert.equal(statusOf(pipeline, trial), 'ran()');
  });

  it('are tried by the first call that they apply to', async () => {
    let isBroken = true;
    const shouldRun = (call: Call) => call.peer !== 'beside';
    const pipeline = await createInlinePipeline([
      inbound(() => (isBroken ? boom() : undefined), 'open', { shouldRun }),
    ]);
    for (let i = 0; i < 20; i++) await runCall(pipeline, createFakeCall());
    isBroken = false;
    await pipeline.clock.advance(5000);
    const beside = createFakeCall({ peer: 'beside' });
    await runCall(pipeline, beside);
    assert.equal(statusOf(pipeline, beside), 'skipped(should_run)');
    const trial = createFakeCall();
    await runCall(pipeline, trial);
    assert.equal(statusOf(pipeline, trial), 'ran()');
  });

  it('are never out of calls under policy closed', async () => {
    const pipeline = await createInlinePipeline([inbound(asyncBoom)]);
    for (let i = 0; i < 40; i++)
      assert.equal((await runCall(pipeline, createFakeCall())).error?.reason, 'FILTER_FAILED');
  });

  it('whose trial never comes back do not stay out for good', async () => {
    let isHanging = false;
    const pipeline = await createInlinePipeline([
      inbound(() => (isHanging ? never() : boom()), 'open', { timeoutMs: 100_000 }),
    ]);
    for (let i = 0; i < 20; i++) await runCall(pipeline, createFakeCall());
    isHanging = true;
    await pipeline.clock.advance(5000);
    const hanging = createFakeCall();
    const running = runCall(pipeline, hanging);
    const second = createFakeCall();
    await runCall(pipeline, second);
    assert.equal(statusOf(pipeline, second), 'skipped(quarantine)');
    hanging.abort();
    await running;
    isHanging = false;
    await pipeline.clock.advance(101_000);
    const third = createFakeCall();
    await runCall(pipeline, third);
    assert.equal(statusOf(pipeline, third), 'failed(threw)', 'the lease of the lost trial has ended');
  });
});
