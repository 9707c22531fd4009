import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { pathOf, startFleet, startRouted, texts } from './bed/routed.ts';

const down = () => new AppError({ code: Code.UNAVAILABLE, reason: 'DOWN', message: 'down' });
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

  for (const isLocal of [false, true]) {
    it(`lets the copies of calls ${isLocal ? 'served here' : 'of an origin'} run to their end when the call has ended`, async () => {
      const gate = Promise.withResolvers<void>();
      const came: string[] = [];
      const ended: string[] = [];
      const work = async (method: string, signal: AbortSignal) => {
        came.push(method);
        await gate.promise;
        ended.push(signal.aborted ? `${method} was cancelled` : method);
      };
      await using given = await startMirrored({
        isLocal,
        shadow: () => ({
          echo: async (_request, { signal }) => {
            await work('echo', signal);
            return {};
          },
          async *repeat(_request, { signal }) {
            await work('repeat', signal);
            yield {};
          },
        }),
      });
      await given.client.echo({});
      await Array.fromAsync(given.client.repeat({ count: 2 }));
      await waitUntil('both copies have arrived', () => came.length === 2);
      gate.resolve();
      await waitUntil('both copies have ended', () => ended.length === 2);
      assert.deepEqual(ended.sort(), ['echo', 'repeat']);
    });
  }

  it('gives the place of a copy back when its call failed before its requests were read', async () => {
    await using fleet = await startFleet(1);
    await using bed = await startRouted({
      filters: {
        routing: { clusters: { c: { endpoints: [] }, m: { endpoints: fleet.endpoints() } }, rules: [{ cluster: 'c' }] },
        mirror: { rules: [{ paths: ['*'], cluster: 'm', timeoutMs: 600_000 }] },
        // One that begins to fail only when it is read.
        retry: { paths: [pathOf('Join')], baseMs: 0 },
      },
    });
    await rejectsWith(bed.client.echo({}), Code.UNAVAILABLE, 'ORIGIN_NONE_KNOWN');
    await rejectsWith(bed.client.join(texts('a')), Code.UNAVAILABLE, 'ORIGIN_NONE_KNOWN');
    assert.equal(bed.origins.stats().started, 2);
    await waitUntil('the copies are over', () => bed.origins.stats().inFlight === 0);
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
