import assert from 'node:assert/strict';
import { promises as dns } from 'node:dns';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createDnsDiscovery,
  createFileDiscovery,
  createSystemResolve,
  type ResolvedAddress,
} from '../../plugins/origins/discovery.ts';
import { type Endpoint, parseEndpoints } from '../../plugins/origins/endpoint.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createRecordingLogger } from '../rpc/fixtures/echo-server.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { startNameServer } from '../support/name-server.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

describe('a list of endpoints', () => {
  it('is read from JSON, sorted, each address once', () => {
    const text = '[{"address":"b:2","zone":"z"},{"address":"a:1"},{"address":"b:2","zone":"z"}]';
    assert.deepEqual(parseEndpoints(text), [
      { address: 'a:1', zone: '' },
      { address: 'b:2', zone: 'z' },
    ]);
  });

  for (const [what, text, message] of [
    ['no JSON', '[', /no JSON/],
    ['an object', '{}', /expected a list/],
    ['an address without a port', '[{"address":"a"}]', /entry 0: address/],
    ['an address with a path', '[{"address":"a:1/x"}]', /entry 0: address/],
    ['null', '[null]', /entry 0: address/],
    ['a zone that is no text', '[{"address":"a:1"},{"address":"b:1","zone":1}]', /entry 1: zone/],
  ] as const) {
    it(`is refused when it is ${what}`, () => assert.throws(() => parseEndpoints(text), message));
  }
});

describe('discovery by file', () => {
  it('follows a file that is replaced by rename, and keeps the last good list when it is bad', async () => {
    await using dir = await createTempDir();
    const path = join(dir.path, 'shop.json');
    const swap = async (text: string) => {
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
    };
    await swap('[{"address":"a:1"}]');
    const seen: string[] = [];
    const log = createRecordingLogger();
    const discovery = createFileDiscovery(path, { clock: systemClock, log });
    await discovery.start((endpoints) => seen.push(endpoints.map(({ address }) => address).join()));
    assert.deepEqual(seen, ['a:1']);
    await swap('[{"address":"a:1"},{"address":"b:1"}]');
    await waitUntil('the second list', () => seen.length === 2);
    await swap('[{"address":');
    await waitUntil('the bad list is logged', () => log.errors.length === 1);
    await swap('[{"address":"c:1"}]');
    await waitUntil('the third list', () => seen.length === 3);
    assert.deepEqual(seen, ['a:1', 'a:1,b:1', 'c:1']);
    discovery.close();
  });

  it('looks at the file by itself, too, where the file system gives no notice', async () => {
    await using dir = await createTempDir();
    const path = join(dir.path, 'shop.json');
    await writeFile(path, '[]');
    const clock = createFakeClock();
    const discovery = createFileDiscovery(path, { clock, log: silentLogger });
    await discovery.start(() => {});
    assert.equal(clock.waiting, 1);
    await clock.advance(5000);
    assert.equal(clock.waiting, 1, 'the next look is planned');
    discovery.close();
    assert.equal(clock.waiting, 0);
  });

  it('does not start without its file', async () => {
    const discovery = createFileDiscovery('/nowhere/shop.json', { clock: systemClock, log: silentLogger });
    await assert.rejects(
      discovery.start(() => {}),
      /ENOENT/,
    );
  });
});

describe('discovery by DNS', () => {
  function start(answers: (readonly ResolvedAddress[] | Error)[]) {
    const clock = createFakeClock();
    const log = createRecordingLogger();
    const seen: (readonly Endpoint[])[] = [];
    const asked: number[] = [];
    const discovery = createDnsDiscovery({
      ...{ host: 'shop.test', port: 7400, zone: 'a', clock, log },
      resolve: async () => {
        asked.push(clock.monotonic());
        const answer = answers[Math.min(asked.length, answers.length) - 1] ?? [];
        if (answer instanceof Error) throw answer;
        return answer;
      },
    });
    return { clock, log, seen, asked, discovery, ready: discovery.start((endpoints) => seen.push(endpoints)) };
  }

  it('asks again when the shortest TTL ends, within bounds, and tells only of changes', async () => {
    const { clock, seen, asked, discovery, ready } = start([
      [
        { address: '10.0.0.2', ttlSeconds: 60 },
        { address: '10.0.0.1', ttlSeconds: 20 },
      ],
      [{ address: '10.0.0.1', ttlSeconds: 0 }],
      [{ address: '10.0.0.1', ttlSeconds: 9999 }],
      [{ address: 'fd00::1', ttlSeconds: 30 }],
    ]);
    await ready;
    await clock.advance(700_000);
    assert.deepEqual(asked.slice(0, 4), [0, 20_000, 25_000, 325_000]);
    assert.deepEqual(
      seen.map((endpoints) => endpoints.map(({ address }) => address)),
      [['10.0.0.1:7400', '10.0.0.2:7400'], ['10.0.0.1:7400'], ['[fd00::1]:7400']],
    );
    discovery.close();
    assert.equal(clock.waiting, 0);
  });

  it('keeps the last addresses while the name cannot be resolved, and asks on', async () => {
    const good = [{ address: '10.0.0.1', ttlSeconds: 10 }];
    const { clock, log, seen, asked, discovery, ready } = start([new Error('SERVFAIL'), good, new Error('SERVFAIL')]);
    await ready;
    assert.deepEqual([seen.length, log.errors.length], [0, 1]);
    await clock.advance(5000);
    await clock.advance(20_000);
    assert.equal(seen.length, 1);
    assert.deepEqual(asked, [0, 5000, 15_000, 20_000, 25_000]);
    discovery.close();
  });

  it('does not hold up a start when no server answers, and has the addresses when one does', async () => {
    const answer = Promise.withResolvers<readonly ResolvedAddress[]>();
    const clock = createFakeClock();
    const seen: (readonly Endpoint[])[] = [];
    const options = { host: 'shop.test', port: 7400, zone: '', clock, log: createRecordingLogger() };
    const discovery = createDnsDiscovery({ ...options, resolve: () => answer.promise });
    const ready = discovery.start((endpoints) => seen.push(endpoints));
    await clock.advance(3000);
    await ready;
    assert.equal(seen.length, 0);
    answer.resolve([{ address: '10.0.0.1', ttlSeconds: 30 }]);
    await waitUntil('the answer has arrived', () => seen.length === 1);
    discovery.close();
    assert.equal(clock.waiting, 0);
  });

  it('resolves names of the hosts file', async () => {
    const found = await createSystemResolve()('localhost');
    assert.ok(found.some(({ address }) => address === '127.0.0.1' || address === '::1'));
  });

  it('keeps the addresses of a family for which no server answers', async () => {
    const hasFailed = { A: false, AAAA: false };
    await using server = await startNameServer((type) => {
      if (hasFailed[type]) return undefined;
      return type === 'A' ? ['10.0.0.1', '10.0.0.2'] : ['fd00::1'];
    });
    const resolver = new dns.Resolver({ timeout: 200, tries: 1 });
    resolver.setServers([server.address]);
    const resolve = createSystemResolve(resolver);
    const all = ['10.0.0.1', '10.0.0.2', 'fd00::1'];
    const ask = async () => (await resolve('shop.test')).map(({ address }) => address).sort();
    assert.deepEqual(await ask(), all);
    hasFailed.A = true;
    assert.deepEqual(await ask(), all);
    assert.deepEqual(await ask(), all);
    Object.assign(hasFailed, { A: false, AAAA: true });
    assert.deepEqual(await ask(), all);
  });
});
