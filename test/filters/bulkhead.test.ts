import assert from 'node:assert/strict';
import { effectiveDeadline, limiterUse, loadSignals, localRefusal } from '../../plugins/engine/filter.ts';
import { createBulkhead, type Ticket } from '../../plugins/filters/bulkhead/bulkhead.ts';
import { Code } from '../../server/core/codes.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { holdCall } from './bed/held-call.ts';
import { runCall } from './bed/run-call.ts';
import { startOnly } from './bed/start-only.ts';

const id = 'showrunner.bulkhead';

describe('the permits of a bulkhead', () => {
  for (const order of ['FIFO', 'LIFO'] as const) {
    it(`are given ${order} as by the reference model in 20,000 random events`, async () => {
      const random = createSeededRandom(31);
      const whole = (least: number, most: number) => least + Math.floor(random.next() * (most - least + 1));
      for (let round = 0; round < 20; round++) {
        const clock = createFakeClock();
        const maxQueue = whole(0, 6);
        const bulkhead = createBulkhead({ limit: whole(0, 5), maxQueue, order, clock });
        // The reference: the state that each ticket should have, in order of age.
        let { limit } = bulkhead;
        const tickets: { readonly real: Ticket; state: string; readonly until: number }[] = [];
        const of = (state: string) => tickets.filter((ticket) => ticket.state === state);
        const serve = () => {
          while (of('granted').length < limit) {
            const next = order === 'FIFO' ? of('waiting')[0] : of('waiting').at(-1);
            if (next === undefined) return;
            next.state = 'granted';
          }
        };
        for (let step = 0; step < 500; step++) {
          const event = random.next();
          if (event < 0.5) {
            const waitMs = whole(0, 3) * 10;
            const until = clock.monotonic() + waitMs;
            let state = 'refused';
            if (of('granted').length < limit) state = 'granted';
            else if (waitMs > 0 && maxQueue > 0) {
              const isFull = of('waiting').length >= maxQueue;
              const [oldest] = of('waiting');
              if (isFull && order === 'LIFO' && oldest !== undefined) oldest.state = 'refused';
              if (!isFull || order === 'LIFO') state = 'waiting';
            }
            tickets.push({ real: bulkhead.request(waitMs), state, until });
          } else if (event < 0.85) {
            const ticket = tickets[whole(0, tickets.length - 1)];
            ticket?.real.release();
            if (ticket?.state === 'waiting') ticket.state = 'dropped';
            if (ticket?.state === 'granted') ticket.state = 'released';
            serve();
          } else if (event < 0.92) {
            limit = whole(0, 6);
            bulkhead.setLimit(limit);
            serve();
          } else {
            await clock.advance(10);
            for (const ticket of of('waiting')) if (ticket.until <= clock.monotonic()) ticket.state = 'expired';
          }
          assert.deepEqual(
            tickets.map(({ real }) => real.state),
            tickets.map(({ state }) => state),
            `round ${round}, step ${step}`,
          );
          assert.deepEqual([bulkhead.held, bulkhead.waiting], [of('granted').length, of('waiting').length]);
        }
      }
    });
  }

  it('never wait for a lower limit: it is reached as permits come back', () => {
    const bulkhead = createBulkhead({ limit: 3, maxQueue: 5, order: 'FIFO', clock: createFakeClock() });
    const held = [bulkhead.request(0), bulkhead.request(0), bulkhead.request(0)];
    bulkhead.setLimit(1);
    assert.deepEqual([bulkhead.limit, bulkhead.held], [1, 3]);
    const waiting = bulkhead.request(1000);
    held[0]?.release();
    held[1]?.release();
    assert.equal(waiting.state, 'waiting');
    held[2]?.release();
    assert.equal(waiting.state, 'granted');
  });

  it('tell when one who comes now would be served', async () => {
    const clock = createFakeClock();
    const bulkhead = createBulkhead({ limit: 2, maxQueue: 5, order: 'FIFO', clock });
    const first = [bulkhead.request(0), bulkhead.request(0)];
    await clock.advance(100);
    for (const ticket of first) ticket.release();
    for (let call = 0; call < 5; call++) bulkhead.request(1000);
    assert.equal(bulkhead.drainMs(), 200);
  });
});

function start(config: object = {}, clock = createFakeClock()) {
  return startOnly({ [id]: { enabled: true, limit: 1, maxQueue: 2, ...config } }, { clock, only: [id] });
}

describe('the bulkhead filter', () => {
  it('is off unless it is switched on', async () => {
    await using engine = await start({ enabled: false });
    assert.equal(engine.open(createFakeCall()), undefined);
  });

  it('refuses without a wait when all permits are out, by key', async () => {
    await using engine = await start();
    const first = await holdCall(engine, createFakeCall());
    const call = createFakeCall();
    const { error, endpointSaw } = await runCall(engine, call);
    assert.deepEqual([error?.code, error?.reason], [Code.UNAVAILABLE, 'BULKHEAD_FULL']);
    assert.equal(endpointSaw, undefined);
    assert.equal(localRefusal.get(call), id);
    assert.equal(call.responseTrailers.get('grpc-retry-pushback-ms'), '10');
    assert.equal((await runCall(engine, createFakeCall({ service: 'test.Other' }))).error, undefined);
    await first.end();
    assert.equal((await runCall(engine, createFakeCall())).error, undefined);
  });

  it('lets calls wait in order, and refuses those that the queue has no room for', async () => {
    for (const [order, secondRuns] of [
      ['FIFO', true],
      ['LIFO', false],
    ] as const) {
      await using engine = await start({ maxWaitMs: 1000, order });
      const first = await holdCall(engine, createFakeCall());
      const second = await holdCall(engine, createFakeCall());
      const third = await holdCall(engine, createFakeCall());
      const fourth = await holdCall(engine, createFakeCall());
      assert.deepEqual(
        [second, third, fourth].map((call) => call.isEntered),
        [false, false, false],
      );
      const refused = order === 'FIFO' ? fourth : second;
      assert.equal((await refused.running).error?.reason, 'BULKHEAD_FULL');
      await first.end();
      const next = order === 'FIFO' ? second : fourth;
      await next.end();
      await third.end();
      assert.equal(second.isEntered, secondRuns);
      assert.equal((await runCall(engine, createFakeCall())).error, undefined);
    }
  });

  it('waits no longer than allowed, nor than the caller', async () => {
    const clock = createFakeClock();
    await using engine = await start({ maxWaitMs: 1000 }, clock);
    const first = await holdCall(engine, createFakeCall());
    const patient = await holdCall(engine, createFakeCall());
    const hurried = createFakeCall();
    effectiveDeadline.set(hurried, clock.now() + 100);
    const short = await holdCall(engine, hurried);
    await clock.advance(100);
    assert.equal((await short.running).error?.reason, 'BULKHEAD_FULL');
    await clock.advance(899);
    const late = createFakeCall({ deadline: clock.now() });
    assert.equal((await runCall(engine, late)).error?.reason, 'BULKHEAD_FULL');
    await clock.advance(1);
    assert.equal((await patient.running).error?.reason, 'BULKHEAD_FULL');
    await first.end();
  });

  it('frees the place of a call that is given up while it waits, and the permit of one that got it', async () => {
    await using engine = await start({ maxWaitMs: 1000 });
    const first = await holdCall(engine, createFakeCall());
    const call = createFakeCall();
    const waiting = await holdCall(engine, call);
    call.abort(new Error('gone'));
    assert.equal((await waiting.running).error?.reason, 'CALL_ABORTED');
    const next = await holdCall(engine, createFakeCall());
    await first.end();
    await next.end();
    assert.equal(next.isEntered, true);
    assert.equal((await runCall(engine, createFakeCall())).error, undefined);
  });

  it('loses no permit when a call is given up in the moment in which it gets one', async () => {
    await using engine = await start({ maxWaitMs: 1000, maxQueue: 10 });
    for (const isGrantFirst of [true, false]) {
      const first = await holdCall(engine, createFakeCall());
      const call = createFakeCall();
      const waiting = await holdCall(engine, call);
      const grant = () => void first.end();
      const giveUp = () => call.abort(new Error('gone'));
      for (const act of isGrantFirst ? [grant, giveUp] : [giveUp, grant]) act();
      await Promise.all([waiting.end(), first.running]);
      const next = await holdCall(engine, createFakeCall());
      assert.equal(next.isEntered, true);
      await next.end();
    }
  });

  it('has limits by glob on the key, by principal too', async () => {
    const limits = [{ key: 'principal:batch*', limit: 0 }];
    await using engine = await start({ by: 'principal', limits });
    const of = (name: string) => ({ principal: { id: name, scopes: new Set<string>(), method: 'jwt' as const } });
    assert.equal((await runCall(engine, createFakeCall(of('batch-1')))).error?.reason, 'BULKHEAD_FULL');
    assert.equal((await runCall(engine, createFakeCall(of('ann')))).error, undefined);
  });

  it('keeps only a share of its permits while the concurrency limit is nearly reached', async () => {
    let use = 0;
    using _signal = { [Symbol.dispose]: loadSignals.publish(limiterUse, () => use) };
    await using engine = await start({ limit: 4, pressedShare: 0.5 });
    const held = [await holdCall(engine, createFakeCall()), await holdCall(engine, createFakeCall())];
    use = 1;
    assert.equal((await runCall(engine, createFakeCall())).error?.metadata['limit'], '2');
    use = 0;
    assert.equal((await runCall(engine, createFakeCall())).error, undefined);
    for (const call of held) await call.end();
  });

  it('keeps a bounded table, in which keys in use stay', async () => {
    await using engine = await start({ maxKeys: 2 });
    const first = await holdCall(engine, createFakeCall());
    for (let key = 0; key < 50; key++) await runCall(engine, createFakeCall({ service: `scan.${key}` }));
    assert.equal((await runCall(engine, createFakeCall())).error?.reason, 'BULKHEAD_FULL');
    await first.end();
  });

  it('refuses a configuration out of range', async () => {
    for (const config of [{ limit: 0 }, { maxWaitMs: 60_000 }, { order: 'RANDOM' }, { pressedShare: 2 }]) {
      await rejectsWith(start(config), Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    }
  });
});
