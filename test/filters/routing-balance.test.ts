import assert from 'node:assert/strict';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { allTo, startFleet, startRouted } from './bed/routed.ts';

describe('the choice of an origin over real connections', () => {
  it('spreads calls over equal origins within 10 %', async () => {
    await using fleet = await startFleet(4);
    // On a clock that stands still all are equally fast, however busy the machine is.
    const clock = createFakeClock(Date.now());
    await using bed = await startRouted({ filters: { routing: allTo(fleet.endpoints()) }, clock });
    const lane = async () => {
      for (let call = 0; call < 500; call++) await bed.client.echo({});
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    for (const calls of fleet.calls) assert.ok(Math.abs(calls - 1000) <= 100, `calls per origin: ${fleet.calls}`);
  });

  it('stays in its zone, and leaves it when its origins are full', async () => {
    const gate = Promise.withResolvers<void>();
    let isHeld = false;
    await using fleet = await startFleet(4, (index) => ({
      echo: async () => {
        if (isHeld && index < 2) await gate.promise;
        return { text: `o${index}` };
      },
    }));
    await using bed = await startRouted({
      filters: {
        routing: allTo(fleet.endpoints(['a', 'a', 'b', 'b']), { spillAt: 3 }, { zone: 'a' }),
      },
    });
    for (let call = 0; call < 50; call++) await bed.client.echo({});
    assert.deepEqual(fleet.calls.slice(2), [0, 0]);
    isHeld = true;
    const many = Array.from({ length: 30 }, () => bed.client.echo({}));
    await waitUntil('calls leave the zone', () => (fleet.calls[2] ?? 0) + (fleet.calls[3] ?? 0) > 10);
    gate.resolve();
    await Promise.all(many);
    assert.ok((fleet.calls[0] ?? 0) + (fleet.calls[1] ?? 0) - 50 >= 6);
  });

  it('takes a failing origin out, and back in when its time is over', async () => {
    const clock = createFakeClock(Date.now());
    let isBad = true;
    await using fleet = await startFleet(3, (index) => ({
      echo: async () => {
        if (isBad && index === 0) throw new AppError({ code: Code.UNAVAILABLE, reason: 'DOWN', message: 'down' });
        return {};
      },
    }));
    await using bed = await startRouted({
      filters: { routing: allTo(fleet.endpoints(), { outlier: { consecutiveErrors: 3 } }) },
      clock,
    });
    const call = async (times: number) => {
      let failed = 0;
      for (let i = 0; i < times; i++) await bed.client.echo({}).catch(() => failed++);
      return failed;
    };
    for (let i = 0; i < 200 && fleet.calls[0] !== 3; i++) {
      await call(1);
      await clock.advance(2000);
    }
    assert.equal(fleet.calls[0], 3);
    assert.equal(await call(30), 0);
    assert.equal(fleet.calls[0], 3, 'it gets no calls while it is out');
    isBad = false;
    await clock.advance(30_000);
    assert.equal(await call(30), 0);
    assert.ok((fleet.calls[0] ?? 0) > 3, 'it is back');
  });

  it('follows its file without dropping calls in flight', async () => {
    await using dir = await createTempDir();
    const gate = Promise.withResolvers<void>();
    await using fleet = await startFleet(2, (index) => ({
      async *repeat() {
        yield { text: `o${index}` };
        await gate.promise;
        yield { text: `o${index}` };
      },
    }));
    const path = join(dir.path, 'shop.json');
    const swap = async (index: number) => {
      await writeFile(`${path}.new`, JSON.stringify([fleet.endpoints()[index]]));
      await rename(`${path}.new`, path);
    };
    await swap(0);
    await using bed = await startRouted({
      filters: { routing: { clusters: { c: { file: path } }, rules: [{ cluster: 'c' }] } },
    });
    const held = bed.client.repeat({});
    assert.equal((await held.next()).value?.text, 'o0');
    await swap(1);
    await waitUntil('new calls go to the new origin', async () => (await bed.client.echo({})).text === 'o1');
    for (let i = 0; i < 20; i++) assert.equal((await bed.client.echo({})).text, 'o1');
    gate.resolve();
    assert.deepEqual(
      (await Array.fromAsync(held)).map(({ text }) => text),
      ['o0'],
    );
    await waitUntil('the old connection is let go', () => bed.origins.stats().origins === 1);
  });

  it('opens few connections ahead, however many instances its file has', async () => {
    await using dir = await createTempDir();
    const path = join(dir.path, 'shop.json');
    // Nobody is asked: there is no call.
    const endpoints = Array.from({ length: 1_500 }, (_, index) => ({
      address: `127.0.${index >> 8}.${index & 255}:9`,
      zone: index >= 1_490 ? 'a' : 'b',
    }));
    await writeFile(path, JSON.stringify(endpoints));
    await using bed = await startRouted({
      filters: { routing: { zone: 'a', clusters: { c: { file: path } }, rules: [{ cluster: 'c' }] } },
    });
    assert.equal(bed.origins.stats().origins, 100);
  });
});
