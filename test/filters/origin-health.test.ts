import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import type { AppError } from '../../server/core/errors.ts';
import type { EchoImplementation } from '../rpc/fixtures/echo-server.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { allTo, startFleet, startRouted } from './bed/routed.ts';

const hangs: Partial<EchoImplementation> = {
  echo: (_request, { signal }) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
};

const reason = 'DEADLINE_EXCEEDED';

describe('the health of origins', () => {
  it('counts one that hangs as failing, but not for callers who give it no time', async () => {
    for (const minTimeoutMs of [60_000, 10]) {
      await using fleet = await startFleet(2, (index) => (index === 0 ? hangs : {}));
      await using bed = await startRouted({
        filters: {
          routing: allTo(
            fleet.endpoints(['a', 'b']),
            { outlier: { consecutiveErrors: 1, minTimeoutMs } },
            { zone: 'a' },
          ),
        },
      });
      const call = () => bed.client.echo({}, { deadlineMs: 500 }).catch(({ code }: AppError) => ({ text: code }));
      assert.equal((await call()).text, Code.DEADLINE_EXCEEDED);
      if (minTimeoutMs === 10) {
        // The server learns of the end of its time a little later than the caller does.
        await waitUntil('the one that hangs is out', async () => (await call()).text === 'o1');
      } else assert.equal((await call()).text, Code.DEADLINE_EXCEEDED);
    }
  });

  it('does not count a stream that had nothing to say', async () => {
    await using fleet = await startFleet(2, () => ({
      async *repeat(_request, { signal }) {
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      },
    }));
    await using bed = await startRouted({
      filters: {
        routing: allTo(fleet.endpoints(['a', 'b']), { outlier: { consecutiveErrors: 1 } }, { zone: 'a' }),
      },
      local: {},
    });
    await rejectsWith(bed.client.repeat({}, { deadlineMs: 300 }).next(), Code.DEADLINE_EXCEEDED, reason);
    assert.equal((await bed.client.echo({})).text, 'o0');
  });

  it('knows an origin as slow whose calls other tries win', async () => {
    await using fleet = await startFleet(2, (index) => (index === 0 ? hangs : {}));
    await using bed = await startRouted({
      filters: {
        routing: allTo(fleet.endpoints()),
        hedging: { paths: ['*'], idempotentPaths: ['*'], delayMs: 100, budgetPercent: 100 },
      },
    });
    for (let i = 0; i < 20; i++) assert.equal((await bed.client.echo({})).text, 'o1');
    assert.ok((fleet.calls[0] ?? 0) <= 3, `${fleet.calls[0]} of 20 calls went to the one that hangs`);
  });

  it('is no business of the breaker when this server itself refuses for the bound of the cluster', async () => {
    const clock = createFakeClock(Date.now());
    await using fleet = await startFleet(1, () => hangs);
    await using bed = await startRouted({
      filters: {
        routing: allTo(fleet.endpoints(), { maxRequests: 1 }),
        'circuit-breaker': { enabled: true, window: 'COUNT', windowSize: 4, minCalls: 4 },
      },
      clock,
    });
    const leaving = new AbortController();
    const held = assert.rejects(bed.client.echo({}, { signal: leaving.signal }));
    await waitUntil('the cluster is full', () => fleet.calls[0] === 1);
    for (let i = 0; i < 10; i++) await rejectsWith(bed.client.echo({}), Code.UNAVAILABLE, 'ORIGIN_OVERLOADED');
    leaving.abort();
    await held;
  });
});
