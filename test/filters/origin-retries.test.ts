import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { findFreePort } from '../support/free-port.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { allTo, pathOf, startFleet, startRouted, texts } from './bed/routed.ts';

const down = () => new AppError({ code: Code.UNAVAILABLE, reason: 'DOWN', message: 'down' });
const everyPath = { paths: ['*'] };
const retry = { ...everyPath, idempotentPaths: [pathOf('Echo'), pathOf('Repeat')], baseMs: 0 };
const hedging = { ...everyPath, idempotentPaths: [pathOf('*')], delayMs: 40 };

describe('retries', () => {
  it('reach another origin, tell it which try they are, and show none of the failed one', async () => {
    const seen: (string | undefined)[] = [];
    await using fleet = await startFleet(2, (index) => ({
      echo: async (_request, { call }) => {
        seen.push(call.requestMetadata.get('grpc-previous-rpc-attempts'));
        call.responseHeaders.set('x-from', `o${index}`);
        if (seen.length === 1) throw down();
        return { text: `o${index}` };
      },
    }));
    await using bed = await startRouted({
      filters: { routing: allTo(fleet.endpoints(), {}, { showAttempts: true }), retry },
    });
    let from: string | undefined;
    let attempts = '';
    const { text } = await bed.client.echo(
      {},
      {
        onHeader: (headers) => {
          from = headers.get('x-from');
        },
        onTrailer: (trailers) => {
          attempts = trailers.get('x-origin-attempts') ?? '';
        },
      },
    );
    assert.equal(from, text);
    assert.deepEqual(seen, [undefined, '1']);
    assert.deepEqual(fleet.calls, [1, 1]);
    assert.match(attempts, /^1 c\/\S+ UNAVAILABLE\(DOWN\) \S+; 2 c\/\S+ OK \S+$/);
  });

  it('are made of idempotent calls alone, and after the listed codes alone', async () => {
    let code: Code = Code.UNAVAILABLE;
    await using fleet = await startFleet(1, () => ({
      echo: async () => {
        throw new AppError({ code, reason: 'X', message: 'x' });
      },
    }));
    const routing = allTo(fleet.endpoints());
    await using careless = await startRouted({ filters: { routing, retry: everyPath } });
    await rejectsWith(careless.client.echo({}), Code.UNAVAILABLE, 'X');
    assert.deepEqual(fleet.calls, [1]);
    await using bed = await startRouted({ filters: { routing, retry } });
    await rejectsWith(bed.client.echo({}), Code.UNAVAILABLE, 'X');
    assert.deepEqual(fleet.calls, [4], 'three tries');
    code = Code.INTERNAL;
    await rejectsWith(bed.client.echo({}), Code.INTERNAL, 'X');
    assert.deepEqual(fleet.calls, [5]);
  });

  it('are made of any call that reached no origin', async () => {
    await using fleet = await startFleet(1);
    const dead = { address: `127.0.0.1:${await findFreePort()}`, zone: '' };
    await using bed = await startRouted({
      filters: { routing: allTo([...fleet.endpoints(), dead]), retry: { ...everyPath, baseMs: 0 } },
    });
    for (let i = 0; i < 20; i++) assert.equal((await bed.client.echo({})).text, 'o0');
    assert.equal((await bed.client.join(texts('a', 'b'))).text, 'a,b');
  });

  it('honour pushback: they wait as long as the origin says, or leave it', async () => {
    const clock = createFakeClock(Date.now());
    let pushback = '700';
    await using fleet = await startFleet(1, () => ({
      echo: async (_request, { call }) => {
        call.responseTrailers.set('grpc-retry-pushback-ms', pushback);
        throw down();
      },
    }));
    await using bed = await startRouted({ filters: { routing: allTo(fleet.endpoints()), retry }, clock });
    const base = clock.waiting;
    const call = bed.client.echo({});
    call.catch(() => {});
    await waitUntil('the retry waits', () => clock.waiting > base);
    await clock.advance(699);
    assert.deepEqual(fleet.calls, [1]);
    await clock.advance(1);
    await waitUntil('the second try', () => fleet.calls[0] === 2 && clock.waiting > base);
    pushback = '-1';
    await clock.advance(700);
    await rejectsWith(call, Code.UNAVAILABLE, 'DOWN');
    assert.deepEqual(fleet.calls, [3]);
    await rejectsWith(bed.client.echo({}), Code.UNAVAILABLE, 'DOWN');
    assert.deepEqual(fleet.calls, [4], 'a negative pushback means no retry');
  });

  it('cut a try at its own limit and go on, whatever the listed codes are', async () => {
    await using fleet = await startFleet(2, (index) => ({
      echo: async (_request, { signal }) => {
        if (fleet.calls[0] === 1 && fleet.calls[1] === 0) {
          await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        }
        if (fleet.calls[1] === 1 && fleet.calls[0] === 0) {
          await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        }
        return { text: `o${index}` };
      },
    }));
    await using bed = await startRouted({
      filters: {
        routing: allTo(fleet.endpoints()),
        retry: { ...retry, tryTimeoutMs: 200 },
      },
    });
    assert.match((await bed.client.echo({})).text, /^o\d$/);
    assert.deepEqual(fleet.calls, [1, 1]);
  });

  it('do not repeat a stream whose first message the caller has', async () => {
    let calls = 0;
    await using fleet = await startFleet(1, () => ({
      async *repeat() {
        calls++;
        if (calls === 1) throw down();
        yield { text: 'one' };
        throw down();
      },
    }));
    await using bed = await startRouted({ filters: { routing: allTo(fleet.endpoints()), retry } });
    const stream = bed.client.repeat({});
    assert.equal((await stream.next()).value?.text, 'one');
    await rejectsWith(stream.next(), Code.UNAVAILABLE, 'DOWN');
    assert.equal(calls, 2);
  });

  it('make no storm: the budget bounds them', async () => {
    await using fleet = await startFleet(1, () => ({
      echo: async () => {
        throw down();
      },
    }));
    const calls = 60;
    const storm = async (budget: object) => {
      const before = fleet.calls[0] ?? 0;
      await using bed = await startRouted({
        filters: { routing: allTo(fleet.endpoints()), retry: { ...retry, maxAttempts: 5, ...budget } },
      });
      await Promise.all(Array.from({ length: calls }, () => bed.client.echo({}).catch(() => {})));
      return (fleet.calls[0] ?? 0) - before;
    };
    assert.equal(await storm({ budgetPercent: 100, budgetLeast: 1000 }), calls * 5);
    const bounded = await storm({});
    assert.ok(bounded >= calls && bounded <= calls * 2, `${bounded} calls reached the origin`);
    assert.equal(await storm({ budgetPercent: 0, budgetLeast: 0 }), calls);
  });

  it('leave the endpoint of this process alone', async () => {
    let calls = 0;
    await using bed = await startRouted({
      filters: { routing: {}, retry },
      local: {
        echo: async () => {
          calls++;
          throw down();
        },
      },
    });
    await rejectsWith(bed.client.echo({}), Code.UNAVAILABLE, 'DOWN');
    assert.equal(calls, 1);
  });
});

describe('hedging', () => {
  it('asks a second origin when the first is slow, takes the first success, and cancels the loser', async () => {
    const clock = createFakeClock(Date.now());
    let cancelled = 0;
    let slow = -1;
    await using fleet = await startFleet(2, (index) => ({
      echo: async (_request, { signal }) => {
        if (slow === -1) slow = index;
        if (slow !== index) return { text: 'fast' };
        return new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => {
            cancelled++;
            reject(signal.reason);
          }),
        );
      },
    }));
    await using bed = await startRouted({ filters: { routing: allTo(fleet.endpoints()), hedging }, clock });
    const call = bed.client.echo({});
    await waitUntil('the first try is at its origin', () => slow !== -1);
    await clock.advance(39);
    assert.equal((fleet.calls[0] ?? 0) + (fleet.calls[1] ?? 0), 1);
    await clock.advance(1);
    assert.equal((await call).text, 'fast');
    assert.deepEqual(fleet.calls, [1, 1]);
    await waitUntil('the loser is cancelled', () => cancelled === 1);
    await waitUntil('nothing is in flight', () => bed.origins.stats().inFlight === 0);
  });

  it('does not let a failure win over a try that still runs', async () => {
    const clock = createFakeClock(Date.now());
    const gate = Promise.withResolvers<void>();
    let first = -1;
    await using fleet = await startFleet(2, (index) => ({
      echo: async () => {
        if (first === -1) first = index;
        if (first !== index) throw down();
        await gate.promise;
        return { text: 'slow but good' };
      },
    }));
    await using bed = await startRouted({ filters: { routing: allTo(fleet.endpoints()), hedging }, clock });
    const call = bed.client.echo({});
    await waitUntil('the first try is at its origin', () => first !== -1);
    await clock.advance(40);
    await waitUntil('both were asked', () => fleet.calls[0] === 1 && fleet.calls[1] === 1);
    await waitUntil('the second has failed', () => bed.origins.stats().inFlight === 1);
    gate.resolve();
    assert.equal((await call).text, 'slow but good');
  });

  it('makes no second try of a fast call, of one that is not idempotent, or beyond its budget', async () => {
    const clock = createFakeClock(Date.now());
    const gate = Promise.withResolvers<void>();
    await using fleet = await startFleet(2, () => ({
      echo: async (request) => {
        if (request.text === 'slow') await gate.promise;
        return {};
      },
    }));
    const routing = allTo(fleet.endpoints());
    const total = () => (fleet.calls[0] ?? 0) + (fleet.calls[1] ?? 0);
    await using bed = await startRouted({ filters: { routing, hedging }, clock });
    for (let i = 0; i < 10; i++) await bed.client.echo({});
    await clock.advance(1000);
    assert.equal(total(), 10);
    await using careless = await startRouted({ filters: { routing, hedging: { ...everyPath, delayMs: 1 } }, clock });
    const unsafe = careless.client.echo({ text: 'slow' });
    await waitUntil('it is at an origin', () => total() === 11);
    await clock.advance(1000);
    const held = Array.from({ length: 5 }, () => bed.client.echo({ text: 'slow' }));
    await waitUntil('all are at an origin', () => total() === 16);
    await clock.advance(1000);
    await waitUntil('one second try', () => total() === 17);
    gate.resolve();
    await Promise.all([unsafe, ...held]);
    assert.equal(total(), 17);
  });

  it('waits for the 95th percentile once it knows the method', async () => {
    const clock = createFakeClock(Date.now());
    const waiting: (() => void)[] = [];
    await using fleet = await startFleet(2, () => ({
      echo: () => new Promise((resolve) => waiting.push(() => resolve({}))),
    }));
    await using bed = await startRouted({
      filters: { routing: allTo(fleet.endpoints()), hedging: { ...hedging, delayMs: undefined, initialDelayMs: 5000 } },
      clock,
    });
    for (let i = 0; i < 20; i++) {
      const call = bed.client.echo({});
      await waitUntil('it is at an origin', () => waiting.length === 1);
      await clock.advance(10);
      waiting.pop()?.();
      await call;
    }
    const call = bed.client.echo({});
    await waitUntil('it is at an origin', () => waiting.length === 1);
    await clock.advance(9);
    assert.equal(waiting.length, 1);
    await clock.advance(1);
    await waitUntil('the second try', () => waiting.length === 2);
    for (const release of waiting) release();
    await call;
  });
});
