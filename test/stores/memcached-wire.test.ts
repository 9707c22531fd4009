import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { systemRandom } from '../../server/core/random.ts';
import { createMemcachedCache } from '../../server/stores/cache/memcached-cache.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { startScriptedServer } from '../support/scripted-server.ts';
import { waitUntil } from '../support/wait-until.ts';

const common = { clock: systemClock, random: systemRandom, log: silentLogger, commandTimeoutMs: 2_000 };

/** Answers the opening exchange, then hands each received chunk to `onChunk`. */
function speak(onChunk: (socket: Socket, chunk: string) => void): (socket: Socket) => void {
  return (socket) => {
    let isOpen = false;
    socket.setEncoding('latin1').on('data', (data) => {
      const chunk = String(data);
      if (isOpen) onChunk(socket, chunk);
      else socket.write('MN\r\n');
      isOpen = true;
    });
  };
}

async function withServer(
  onSocket: (socket: Socket) => void,
  test: (cache: ReturnType<typeof createMemcachedCache>, connections: () => number) => Promise<void>,
): Promise<void> {
  await using server = await startScriptedServer(onSocket);
  const cache = createMemcachedCache({ ...common, url: `memcached://127.0.0.1:${server.port}` });
  try {
    await test(cache, () => server.connections);
  } finally {
    await cache.close();
  }
}

describe('memcached cache on the wire', () => {
  it('sends all commands of one tick in one write', async () => {
    const chunks: string[] = [];
    const answer = (socket: Socket, chunk: string) => {
      chunks.push(chunk);
      socket.write('EN\r\n'.repeat(chunk.match(/^mg /gm)?.length ?? 0));
    };
    await withServer(speak(answer), async (cache) => {
      await cache.get('first');
      chunks.length = 0;
      await Promise.all(Array.from({ length: 200 }, (_, index) => cache.get(`k${index}`)));
      assert.deepEqual(
        chunks.map((chunk) => chunk.match(/^mg /gm)?.length),
        [200],
      );
    });
  });

  it('reads answers that come byte by byte', async () => {
    const reply = Buffer.from('VA 7 f3 c9 t60\r\nEN\r\nMN\n\r\n', 'latin1');
    const trickle = (socket: Socket) => {
      socket.setNoDelay(true);
      let at = 0;
      const next = () => {
        socket.write(reply.subarray(at, ++at));
        if (at < reply.length) setImmediate(next);
      };
      next();
    };
    await withServer(speak(trickle), async (cache) => {
      const item = await cache.get('k');
      assert.deepEqual(
        { ...item, value: Buffer.from(item?.value ?? []).toString() },
        { value: 'EN\r\nMN\n', flags: 3, cas: 9n, ttlSeconds: 60 },
      );
    });
  });

  for (const [what, reply] of [
    ['an unknown answer', 'WHAT 1\r\n'],
    ['an answer of another command', 'NS\r\n'],
    ['CLIENT_ERROR', 'CLIENT_ERROR bad command line format\r\n'],
  ] as const) {
    it(`fails the command and connects anew after ${what}`, async () => {
      await withServer(
        speak((socket, chunk) => void socket.write(chunk.startsWith('mg bad') ? reply : 'EN\r\n')),
        async (cache, connections) => {
          await rejectsWith(cache.get('bad'), Code.INTERNAL, 'CACHE_PROTOCOL_ERROR');
          await waitUntil('the cache works again', () =>
            cache.get('good').then(
              () => true,
              () => false,
            ),
          );
          assert.equal(connections(), 2);
        },
      );
    });
  }

  for (const [what, reply] of [
    ['a value without its end', 'VA 2 f0\r\nabcd\r\n'],
    ['an endless line', 'x'.repeat(5_000)],
  ] as const) {
    it(`gives up the connection after ${what}`, async () => {
      await withServer(
        speak((socket) => void socket.write(reply)),
        async (cache) => {
          await rejectsWith(cache.get('k'), Code.UNAVAILABLE, 'CACHE_UNAVAILABLE');
        },
      );
    });
  }

  it('gives up a connection on which an answer comes that nobody asked for', async () => {
    await withServer(
      speak((socket) => void socket.write('EN\r\nEN\r\n')),
      async (cache, connections) => {
        await cache.get('k');
        await waitUntil('it connects anew', () => connections() > 1);
      },
    );
  });

  it('is unavailable on a server without the meta protocol, and on one that answers nothing', async () => {
    await withServer(
      (socket) => void socket.on('data', () => socket.write('ERROR\r\n')),
      async (cache) => {
        const error = await rejectsWith(cache.get('k'), Code.UNAVAILABLE, 'CACHE_UNAVAILABLE');
        assert.match(String((error.cause as Error).message), /meta protocol/);
      },
    );
    await withServer(
      () => {},
      async (cache) => {
        await rejectsWith(cache.get('k'), Code.UNAVAILABLE, 'CACHE_UNAVAILABLE');
      },
    );
  });

  it('waits between 50 ms and 5 s, longer each time and never in step with others, before it connects again', async () => {
    const pauses: number[] = [];
    const impatient = {
      ...systemClock,
      schedule: (ms: number, run: () => void) => {
        // 1,000 ms is the limit of a connection attempt.
        if (ms !== 1_000) pauses.push(ms);
        return systemClock.schedule(ms === 1_000 ? ms : 0, run);
      },
    };
    await using server = await startScriptedServer((socket) => socket.destroy());
    const url = `memcached://127.0.0.1:${server.port}`;
    const draws = [0, 0.5, 0.999];
    let drawn = 0;
    const random = { next: () => draws[drawn++ % draws.length] ?? 0 };
    const cache = createMemcachedCache({ ...common, url, clock: impatient, random });
    await waitUntil('it has tried often', () => pauses.length >= 12);
    await cache.close();
    for (const [index, pause] of pauses.slice(0, 12).entries()) {
      const ceiling = Math.min(5_000, 50 * 2 ** index);
      assert.equal(pause, ceiling * (0.5 + (draws[index % 3] ?? 0) / 2));
    }
  });
});
