import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createFilterEngine } from '../../plugins/engine/engine.ts';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import type { RpcClientOptions } from '../../server/rpc/client.ts';
import { type EchoFixture, type EchoImplementation, startEcho } from '../rpc/fixtures/echo-server.ts';
import { openRawCall } from '../rpc/fixtures/raw-call.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFilterFolders, type FilterFolders } from './bed/filter-folders.ts';
import { createLogBook } from './bed/log-book.ts';
import { shippedDir } from './bed/shipped.ts';

async function* texts(...all: string[]) {
  for (const text of all) yield { text };
}

const versionFilter = (version: number) => `
  version: '${version}.0.0',
  run: (call) => void call.responseHeaders.set('x-version', '${version}'),
  onResponseMessage: (message) => { message.text += '@${version}'; },`;

async function startFiltered(
  folders: FilterFolders,
  implementation: Partial<EchoImplementation> = {},
  clientOptions: Partial<RpcClientOptions> = {},
) {
  const engine = await folders.engine();
  const echo = await startEcho(implementation, { pipeline: engine }, clientOptions);
  return { engine, client: echo.client, server: echo.server, [Symbol.asyncDispose]: () => echo[Symbol.asyncDispose]() };
}

describe('filters over a real connection', () => {
  it('see and change the messages of all four kinds', async () => {
    await using folders = await createFilterFolders();
    await folders.filter(
      'a',
      `onRequestMessage: async (message) => ({ ...message, text: message.text + '>' }),
       onResponseMessage: (message) => { message.text += '<'; },`,
    );
    await using bed = await startFiltered(folders);
    const { client } = bed;
    assert.equal((await client.echo({ text: 'x' })).text, 'x><');
    assert.deepEqual(
      (await Array.fromAsync(client.repeat({ text: 'x', count: 2 }))).map(({ text }) => text),
      ['x><', 'x><'],
    );
    assert.equal((await client.join(texts('a', 'b'))).text, 'a>,b><');
    assert.deepEqual(
      (await Array.fromAsync(client.chat(texts('a', 'b')))).map(({ text }) => text),
      ['a><', 'b><'],
    );
  });

  it('refuse calls of all four kinds, and calls to unknown methods, before any handler runs', async () => {
    await using folders = await createFilterFolders();
    await folders.filter(
      'a',
      "run: () => { throw new AppError({ code: Code.PERMISSION_DENIED, reason: 'NOT_HERE', message: 'no' }); },",
      "import { AppError, Code } from 'showrunner/filter';",
    );
    let handled = 0;
    const count = async () => {
      handled++;
      return {};
    };
    await using bed = await startFiltered(folders, { echo: count, join: count });
    const { client } = bed;
    for (const call of [
      () => client.echo({}),
      () => client.join(texts('a')),
      () => Array.fromAsync(client.repeat({ count: 1 })),
      () => Array.fromAsync(client.chat(texts('a'))),
    ]) {
      await rejectsWith(call(), Code.PERMISSION_DENIED, 'NOT_HERE');
    }
    assert.equal(handled, 0);
    await using raw = openRawCall(bed.server.address, '/no.Such/Method');
    raw.stream.end();
    assert.equal((await raw.status)['grpc-status'], String(Code.PERMISSION_DENIED));
  });

  it('answer in place of the handler', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', "type: 'endpoint', run: () => ({ messages: [{ text: 'static', index: 7 }] }),");
    await using bed = await startFiltered(folders, { echo: () => assert.fail('the handler ran') });
    const { text, index } = await bed.client.echo({});
    assert.deepEqual([text, index], ['static', 7]);
  });

  it('turn a failure that leaves no detail into INTERNAL with the id of the filter, and fail closed', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', "run: () => { throw new Error('password=hunter2'); },");
    await using bed = await startFiltered(folders, { echo: () => assert.fail('the handler ran') });
    const error = await rejectsWith(bed.client.echo({}), Code.INTERNAL, 'FILTER_FAILED');
    assert.equal(error.metadata['filter'], 'test.a');
    assert.ok(!JSON.stringify([error.message, error.metadata]).includes('hunter2'));
  });

  it('reload while calls of every kind are in flight: those end on their version, new ones have the next', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', versionFilter(1));
    const gate = Promise.withResolvers<void>();
    let waiting = 0;
    const hold = async () => {
      waiting++;
      await gate.promise;
    };
    await using bed = await startFiltered(folders, {
      async echo(request) {
        if (request.count > 0) await hold();
        return { text: request.text };
      },
      async *repeat(request) {
        yield { text: request.text };
        if (request.count > 1) await hold();
        yield { text: request.text };
      },
      async join(requests) {
        let text = '';
        for await (const request of requests) text += request.text;
        if (text === 'ab') await hold();
        return { text };
      },
      async *chat(requests) {
        for await (const request of requests) {
          yield { text: request.text };
          if (request.text === 'a') await hold();
        }
      },
    });
    const { client, engine } = bed;
    const all = () => [
      client.echo({ text: 'x', count: 1 }).then(({ text }) => text),
      Array.fromAsync(client.repeat({ text: 'x', count: 2 })).then((many) => many.map(({ text }) => text).join()),
      client.join(texts('a', 'b')).then(({ text }) => text),
      Array.fromAsync(client.chat(texts('a', 'b'))).then((many) => many.map(({ text }) => text).join()),
    ];
    const old = all();
    await waitUntil('all four calls are in flight', () => waiting === 4);
    await folders.filter('a', versionFilter(2));
    assert.equal((await engine.reload()).result, 'ok');
    assert.equal((await client.echo({ text: 'y' })).text, 'y@2');
    assert.equal((await client.join(texts('y'))).text, 'y@2');
    gate.resolve();
    assert.deepEqual(await Promise.all(old), ['x@1', 'x@1,x@1', 'ab@1', 'a@1,b@1']);
    assert.deepEqual(await Promise.all(all()), ['x@2', 'x@2,x@2', 'ab@2', 'a@2,b@2']);
  });

  it('lose no call in 25 reloads under load', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', versionFilter(0));
    await using bed = await startFiltered(folders);
    const { client, engine } = bed;
    let isOver = false;
    let calls = 0;
    const load = async () => {
      while (!isOver) {
        assert.match((await client.echo({ text: 'x' })).text, /^x@\d+$/);
        const seen = await Array.fromAsync(client.chat(texts('a', 'b')));
        assert.equal(new Set(seen.map(({ text }) => text.slice(2))).size, 1, 'one version for all messages of a call');
        calls += 2;
      }
    };
    const loads = [load(), load()];
    for (let version = 1; version <= 25; version++) {
      await folders.filter('a', versionFilter(version));
      assert.equal((await engine.reload()).result, 'ok');
      await client.echo({ text: 'x' });
    }
    isOver = true;
    await Promise.all(loads);
    assert.ok(calls >= 50, `${calls} calls`);
    await waitUntil('no call holds a set', () => engine.snapshot().calls === 0);
  });

  it('stop a filter that hangs when the caller gives up', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', 'run: () => new Promise(() => {}), timeoutMs: 60_000,');
    await using bed = await startFiltered(folders);
    const call = bed.client.echo({}, { deadlineMs: 50 });
    await rejectsWith(call, Code.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED');
    await waitUntil('the filter is let go', () => bed.engine.snapshot().filters[0]?.inFlight === 0);
    await waitUntil('the set is let go', () => bed.engine.snapshot().calls === 0);
  });
});

describe('the shipped filters over a real connection', () => {
  async function startShippedServer(metadata: Record<string, string>) {
    const book = createLogBook();
    const engine = await createFilterEngine({
      ...{ dirs: [shippedDir], log: book.log, clock: systemClock, random: createSeededRandom(1), watch: false },
      config: {
        'showrunner.auth': { keys: [{ id: 'demo', secret: 'demo-secret-1', scopes: [] }] },
        'showrunner.rate-limit': { ratePerSecond: 0.01, burst: 2 },
      },
    });
    const echo: EchoFixture = await startEcho({}, { pipeline: engine }, { metadata });
    return {
      ...{ book, engine, client: echo.client, server: echo.server },
      [Symbol.asyncDispose]: async () => {
        await echo[Symbol.asyncDispose]();
        await engine.close();
      },
    };
  }

  it('refuse an unknown caller, let a known one through, limit it, and log all of it under its request id', async () => {
    await using stranger = await startShippedServer({ 'x-api-key': 'not-the-secret' });
    await rejectsWith(stranger.client.echo({}), Code.UNAUTHENTICATED, 'API_KEY_INVALID');

    await using bed = await startShippedServer({ 'x-api-key': 'demo-secret-1', 'x-request-id': 'req-1' });
    assert.equal((await bed.client.echo({ text: 'hi' })).text, 'hi');
    await bed.client.echo({});
    const limited = await rejectsWith(bed.client.echo({}), Code.RESOURCE_EXHAUSTED, 'RATE_LIMITED');
    assert.ok((limited.retryAfterMs ?? 0) > 90_000);
    await waitUntil('three lines are logged', () => bed.book.of('call').length === 3);
    assert.deepEqual(
      bed.book.of('call').map(({ call_id, code, principal }) => [call_id, code, principal]),
      [
        ['req-1', 'OK', 'key:demo'],
        ['req-1', 'OK', 'key:demo'],
        ['req-1', 'RESOURCE_EXHAUSTED', 'key:demo'],
      ],
    );
    assert.equal(bed.engine.explain('req-1')?.code, Code.RESOURCE_EXHAUSTED);
  });

  it('guard unknown methods: credentials first, then UNIMPLEMENTED', async () => {
    await using bed = await startShippedServer({});
    const statusOf = async (headers: Record<string, string>) => {
      await using raw = openRawCall(bed.server.address, '/no.Such/Method', headers);
      raw.stream.end();
      return (await raw.status)['grpc-status'];
    };
    assert.equal(await statusOf({}), String(Code.UNAUTHENTICATED));
    assert.equal(await statusOf({ 'x-api-key': 'demo-secret-1' }), String(Code.UNIMPLEMENTED));
  });

  it('do not name any module but the contract, node and jose', async () => {
    const files = ['auth/filter.ts', 'access-log/filter.ts', 'rate-limit/filter.ts'];
    for (const file of files) {
      const source = await readFile(join(shippedDir, file), 'utf8');
      for (const [, from] of source.matchAll(/from '([^']+)'/g)) {
        assert.match(from ?? '', /^(\.\.\/\.\.\/engine\/filter\.ts|\.\/[\w-]+\.ts|node:\w+|jose|@opentelemetry\/api)$/);
      }
    }
  });
});
