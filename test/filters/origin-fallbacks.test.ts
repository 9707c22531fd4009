import assert from 'node:assert/strict';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { EchoResponseSchema } from '../rpc/fixtures/echo.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { allTo, pathOf, startFleet, startRouted } from './bed/routed.ts';

const down = () => new AppError({ code: Code.UNAVAILABLE, reason: 'DOWN', message: 'down' });
const base64 = (text: string) =>
  Buffer.from(toBinary(EchoResponseSchema, create(EchoResponseSchema, { text }))).toString('base64');

async function* texts(...all: string[]) {
  for (const text of all) yield { text };
}

describe('fallback', () => {
  const rules = (...steps: object[]) => ({ rules: [{ paths: ['*'], steps }] });

  it('gives a fixed answer after a failure, remote or here, and says so', async () => {
    await using fleet = await startFleet(1, () => ({
      echo: async () => {
        throw down();
      },
    }));
    const fallback = rules({ kind: 'static', messages: [base64('fixed')] });
    for (const given of [
      { filters: { routing: allTo(fleet.endpoints()), fallback } },
      {
        filters: { routing: {}, fallback },
        local: {
          echo: async () => {
            throw down();
          },
        },
      },
    ]) {
      await using bed = await startRouted(given);
      let how: string | undefined;
      const onHeader = (headers: { get(key: string): string | undefined }) => {
        how = headers.get('x-fallback');
      };
      assert.equal((await bed.client.echo({}, { onHeader })).text, 'fixed');
      assert.equal(how, 'static');
    }
  });

  it('gives the last good response to the same request while it is young enough', async () => {
    const clock = createFakeClock(Date.now());
    let isDown = false;
    let served = 0;
    await using fleet = await startFleet(1, () => ({
      echo: async (request) => {
        if (isDown) throw down();
        return { text: `${request.text}${++served}` };
      },
    }));
    await using bed = await startRouted({
      filters: { routing: allTo(fleet.endpoints()), fallback: rules({ kind: 'cached', maxAgeMs: 60_000 }) },
      clock,
    });
    assert.equal((await bed.client.echo({ text: 'a' })).text, 'a1');
    assert.equal((await bed.client.echo({ text: 'a' })).text, 'a2');
    isDown = true;
    await clock.advance(60_000);
    let age: string | undefined;
    const onHeader = (headers: { get(key: string): string | undefined }) => {
      age = headers.get('x-fallback-age-ms');
    };
    assert.equal((await bed.client.echo({ text: 'a' }, { onHeader })).text, 'a2');
    assert.equal(age, '60000');
    await rejectsWith(bed.client.echo({ text: 'b' }), Code.UNAVAILABLE, 'DOWN');
    await clock.advance(1);
    await rejectsWith(bed.client.echo({ text: 'a' }), Code.UNAVAILABLE, 'DOWN');
  });

  it('gives no caller the response of another, unless it may be shared', async () => {
    for (const shared of [false, true]) {
      let isDown = false;
      await using fleet = await startFleet(1, () => ({
        echo: async () => {
          if (isDown) throw down();
          return { text: 'private' };
        },
      }));
      await using bed = await startRouted({
        filters: { routing: allTo(fleet.endpoints()), fallback: rules({ kind: 'cached', shared }) },
        own: {
          who: `run: (call) => {
            call.principal = { id: call.requestMetadata.get('x-who') ?? '', scopes: new Set(), method: 'api_key' };
          },`,
        },
      });
      const as = (who: string) => bed.client.echo({}, { metadata: { 'x-who': who } });
      await as('ann');
      isDown = true;
      assert.equal((await as('ann')).text, 'private');
      if (shared) assert.equal((await as('bob')).text, 'private');
      else await rejectsWith(as('bob'), Code.UNAVAILABLE, 'DOWN');
    }
  });

  it('asks another cluster or method, and goes on to the next step when that fails, too', async () => {
    await using fleet = await startFleet(2, (index) => ({
      echo: async () => {
        if (index === 0) throw down();
        return { text: 'second cluster' };
      },
    }));
    const [first, second] = fleet.endpoints();
    const routing = {
      clusters: { c: { endpoints: [first] }, d: { endpoints: [second] }, e: { endpoints: [] } },
      rules: [{ cluster: 'c' }],
    };
    await using bed = await startRouted({ filters: { routing, fallback: rules({ kind: 'other', cluster: 'd' }) } });
    assert.equal((await bed.client.echo({})).text, 'second cluster');
    await using method = await startRouted({
      filters: { routing, fallback: rules({ kind: 'other', path: pathOf('Join') }) },
    });
    assert.equal((await method.client.echo({ text: 'joined' })).text, 'joined');
    await using last = await startRouted({
      filters: {
        routing,
        fallback: rules(
          { kind: 'other', cluster: 'e' },
          { kind: 'cached' },
          { kind: 'static', messages: [base64('last')] },
        ),
      },
    });
    assert.equal((await last.client.echo({})).text, 'last');
  });

  it('leaves successes, other codes and streams that have begun as they are', async () => {
    await using fleet = await startFleet(1, () => ({
      echo: async (request) => {
        if (request.text === 'bad') throw new AppError({ code: Code.INVALID_ARGUMENT, reason: 'BAD', message: 'bad' });
        return { text: 'fine' };
      },
      async *repeat() {
        yield { text: 'begun' };
        throw down();
      },
    }));
    await using bed = await startRouted({
      filters: { routing: allTo(fleet.endpoints()), fallback: rules({ kind: 'static', messages: [base64('no')] }) },
    });
    assert.equal((await bed.client.echo({})).text, 'fine');
    await rejectsWith(bed.client.echo({ text: 'bad' }), Code.INVALID_ARGUMENT, 'BAD');
    const stream = bed.client.repeat({});
    assert.equal((await stream.next()).value?.text, 'begun');
    await rejectsWith(stream.next(), Code.UNAVAILABLE, 'DOWN');
  });

  it('does not load with a step that says nowhere to go', async () => {
    await assert.rejects(startRouted({ filters: { fallback: rules({ kind: 'other' }) } }), /needs a cluster or a path/);
  });
});

describe('mirror traffic', () => {
  const mirror = { rules: [{ paths: ['*'], cluster: 'm' }] };

  /** One origin that answers and one that is mirrored to. */
  async function startMirrored(options: {
    readonly shadow: Parameters<typeof startFleet>[1];
    readonly mirror?: object;
    readonly isLocal?: boolean;
  }) {
    const fleet = await startFleet(2, (index) => (index === 0 ? {} : (options.shadow?.(index) ?? {})));
    const [main, shadow] = fleet.endpoints();
    const bed = await startRouted({
      filters: {
        routing: {
          clusters: { c: { endpoints: [main] }, m: { endpoints: [shadow] } },
          rules: options.isLocal ? [] : [{ cluster: 'c' }],
        },
        mirror: { ...mirror, ...options.mirror },
      },
      ...(options.isLocal ? { local: { echo: async () => ({ text: 'here' }) } } : {}),
    });
    return {
      ...{ fleet, bed, client: bed.client },
      [Symbol.asyncDispose]: async () => {
        await bed[Symbol.asyncDispose]();
        await fleet[Symbol.asyncDispose]();
      },
    };
  }

  it('copies calls of every kind, remote or served here, and gives the caller the original answer', async () => {
    const joined: string[] = [];
    const shadow = () => ({
      echo: async () => ({ text: 'from the mirror' }),
      join: async (requests: AsyncIterable<{ text: string }>) => {
        for await (const { text } of requests) joined.push(text);
        return {};
      },
    });
    for (const isLocal of [false, true]) {
      joined.length = 0;
      await using given = await startMirrored({ shadow, isLocal });
      assert.equal((await given.client.echo({})).text, isLocal ? 'here' : 'o0');
      assert.equal((await given.client.join(texts('a', 'b'))).text, 'a,b');
      await waitUntil('the copies have arrived', () => given.fleet.calls[1] === 1 && joined.length === 2);
      assert.deepEqual(joined, ['a', 'b']);
    }
  });

  it('never makes the caller wait or fail: a mirror that hangs, fails or is gone', async () => {
    for (const echo of [
      () => new Promise<never>(() => {}),
      async () => {
        throw down();
      },
    ]) {
      await using given = await startMirrored({ shadow: () => ({ echo }) });
      for (let i = 0; i < 10; i++) assert.equal((await given.client.echo({})).text, 'o0');
    }
    await using gone = await startMirrored({ shadow: () => ({}) });
    await gone.fleet.kill(1);
    for (let i = 0; i < 10; i++) assert.equal((await gone.client.echo({})).text, 'o0');
  });

  it('copies no more at once than allowed, and only its share', async () => {
    await using given = await startMirrored({
      shadow: () => ({ echo: () => new Promise<never>(() => {}) }),
      mirror: { maxConcurrent: 3 },
    });
    for (let i = 0; i < 20; i++) assert.equal((await given.client.echo({})).text, 'o0');
    await waitUntil('three copies have arrived', () => given.fleet.calls[1] === 3);
    await using part = await startMirrored({
      shadow: () => ({}),
      mirror: { rules: [{ paths: ['*'], cluster: 'm', percent: 20 }] },
    });
    for (let i = 0; i < 200; i++) await part.client.echo({});
    await waitUntil('the copies have ended', () => part.bed.origins.stats().inFlight === 0);
    const copies = part.fleet.calls[1] ?? 0;
    assert.ok(copies > 20 && copies < 65, `${copies} of 200 were copied`);
  });

  it('gives up a copy whose mirror takes its requests too slowly', async () => {
    let ended = 0;
    await using given = await startMirrored({
      shadow: () => ({
        join: (_requests: unknown, { signal }: { signal: AbortSignal }) =>
          new Promise<never>((_resolve, reject) =>
            signal.addEventListener('abort', () => {
              ended++;
              reject(signal.reason);
            }),
          ),
      }),
      mirror: { maxBufferBytes: 50_000 },
    });
    const payload = new Uint8Array(10_000);
    const many = (async function* () {
      for (let i = 0; i < 200; i++) yield { text: '', payload };
    })();
    assert.equal((await given.client.join(many)).index, 200);
    await waitUntil('the copy was cancelled', () => ended === 1);
  });
});

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
