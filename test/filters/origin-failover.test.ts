import assert from 'node:assert/strict';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { startFleet, startRouted } from './bed/routed.ts';

const down = () => new AppError({ code: Code.UNAVAILABLE, reason: 'DOWN', message: 'down' });
describe('multi-region failover', () => {
  const regions = [
    { name: 'home', cluster: 'c' },
    { name: 'away', cluster: 'd' },
  ];

  async function startRegions(behaviour: Parameters<typeof startFleet>[1], options: object = {}) {
    const clock = createFakeClock(Date.now());
    const fleet = await startFleet(2, behaviour);
    const [home, away] = fleet.endpoints();
    const bed = await startRouted({
      filters: {
        routing: {
          clusters: { c: { endpoints: [home] }, d: { endpoints: [away] } },
          rules: [{ cluster: 'c' }],
        },
        failover: { groups: { c: { regions, minCalls: 5, ...options } } },
      },
      clock,
    });
    const call = async () => (await bed.client.echo({})).text;
    return {
      ...{ clock, fleet, bed, call },
      [Symbol.asyncDispose]: async () => {
        await bed[Symbol.asyncDispose]();
        await fleet[Symbol.asyncDispose]();
      },
    };
  }

  it('leaves a home region that fails and comes back to it in steps', async () => {
    let isDown = true;
    await using given = await startRegions((index) => ({
      echo: async () => {
        if (isDown && index === 0) throw down();
        return { text: index === 0 ? 'home' : 'away' };
      },
    }));
    for (let i = 0; i < 5; i++) await rejectsWith(given.call(), Code.UNAVAILABLE, 'DOWN');
    for (let i = 0; i < 10; i++) assert.equal(await given.call(), 'away');
    isDown = false;
    await given.clock.advance(30_000);
    const share = async () => {
      let home = 0;
      for (let i = 0; i < 200; i++) if ((await given.call()) === 'home') home++;
      return home / 200;
    };
    const first = await share();
    assert.ok(first > 0 && first < 0.15, `${first} went home at once`);
    await given.clock.advance(40_000);
    const third = await share();
    assert.ok(third > 0.35 && third < 0.65, `${third} went home in the third step`);
    await given.clock.advance(20_000);
    assert.equal(await share(), 1);
  });

  it('leaves a home region that hangs, but not for callers who give it no time', async () => {
    await using fleet = await startFleet(2, (index) => ({
      echo: (_request, { signal }) =>
        index > 0
          ? Promise.resolve({ text: 'away' })
          : new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    }));
    const [home, away] = fleet.endpoints();
    await using bed = await startRouted({
      filters: {
        routing: { clusters: { c: { endpoints: [home] }, d: { endpoints: [away] } }, rules: [{ cluster: 'c' }] },
        failover: { groups: { c: { regions, minCalls: 3, minTimeoutMs: 200 } } },
      },
    });
    const call = (deadlineMs: number) => bed.client.echo({}, { deadlineMs }).catch((error: AppError) => error.code);
    for (let i = 0; i < 20; i++) assert.equal(await call(10), Code.DEADLINE_EXCEEDED);
    const patient = await Promise.all([1, 2, 3].map(() => call(1_500)));
    assert.deepEqual(new Set(patient), new Set([Code.DEADLINE_EXCEEDED]));
    // The server learns of the end of their time a little later than they do.
    let next = await call(1_500);
    while (next === Code.DEADLINE_EXCEEDED) next = await call(1_500);
    assert.equal(Object(next).text, 'away');
  });

  it('does not leave a home region for its own bound on calls in progress', async () => {
    const gate = Promise.withResolvers<void>();
    await using fleet = await startFleet(2, (index) => ({
      echo: async () => {
        if (index === 0) await gate.promise;
        return { text: index === 0 ? 'home' : 'away' };
      },
    }));
    const [home, away] = fleet.endpoints();
    await using bed = await startRouted({
      filters: {
        routing: {
          clusters: { c: { endpoints: [home], maxRequests: 1 }, d: { endpoints: [away] } },
          rules: [{ cluster: 'c' }],
        },
        failover: { groups: { c: { regions, minCalls: 3 } } },
      },
    });
    const first = bed.client.echo({});
    await waitUntil('home is busy', () => fleet.calls[0] === 1);
    for (let i = 0; i < 10; i++) assert.equal((await bed.client.echo({})).text, 'away');
    gate.resolve();
    assert.equal((await first).text, 'home');
    assert.equal((await bed.client.echo({})).text, 'home');
  });

  it('moves a call on at once when the home region cannot be reached', async () => {
    await using given = await startRegions((index) => ({
      echo: async () => ({ text: index === 0 ? 'home' : 'away' }),
    }));
    assert.equal(await given.call(), 'home');
    await given.fleet.kill(0);
    for (let i = 0; i < 10; i++) assert.equal(await given.call(), 'away');
  });

  it('isolates a region by the switch of its operators, and lets it come back', async () => {
    await using dir = await createTempDir();
    const path = join(dir.path, 'isolated.json');
    const write = async (names: readonly string[]) => {
      await writeFile(`${path}.new`, JSON.stringify(names));
      await rename(`${path}.new`, path);
    };
    await write([]);
    await using fleet = await startFleet(2, (index) => ({
      echo: async () => ({ text: index === 0 ? 'home' : 'away' }),
    }));
    const [home, away] = fleet.endpoints();
    const clock = createFakeClock(Date.now());
    await using bed = await startRouted({
      filters: {
        routing: { clusters: { c: { endpoints: [home] }, d: { endpoints: [away] } }, rules: [{ cluster: 'c' }] },
        failover: { groups: { c: { regions, stepMs: 1000 } }, isolationFile: path },
      },
      clock,
    });
    const call = async () => (await bed.client.echo({})).text;
    assert.equal(await call(), 'home');
    await write(['home']);
    await waitUntil('home is isolated', async () => (await call()) === 'away');
    for (let i = 0; i < 10; i++) assert.equal(await call(), 'away');
    await write(['home', 'away']);
    await waitUntil('all are isolated', async () =>
      call().then(
        () => false,
        (error: AppError) => error.reason === 'REGIONS_ISOLATED',
      ),
    );
    await write([]);
    await waitUntil('home comes back', async () => {
      await clock.advance(1000);
      return (await call().catch(() => '')) === 'home';
    });
  });
});
