import assert from 'node:assert/strict';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { EchoResponseSchema } from '../rpc/fixtures/echo.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createLogBook } from './bed/log-book.ts';
import { allTo, pathOf, startFleet, startRouted, texts } from './bed/routed.ts';

const base64 = (text: string) =>
  Buffer.from(toBinary(EchoResponseSchema, create(EchoResponseSchema, { text }))).toString('base64');

describe('routing to remote origins', () => {
  for (const isKnown of [true, false]) {
    it(`hands on calls of all four kinds to methods that are ${isKnown ? 'known' : 'unknown'} here`, async () => {
      await using fleet = await startFleet(1);
      await using bed = await startRouted({
        filters: { routing: allTo(fleet.endpoints()) },
        ...(isKnown ? { local: { echo: () => assert.fail('the local endpoint ran') } } : {}),
      });
      const { client } = bed;
      assert.equal((await client.echo({ text: 'x' })).text, 'o0');
      assert.deepEqual((await Array.fromAsync(client.repeat({ text: 'r', count: 3 }))).length, 3);
      assert.equal((await client.join(texts('a', 'b'))).text, 'a,b');
      assert.deepEqual(
        (await Array.fromAsync(client.chat(texts('a', 'b')))).map(({ text }) => text),
        ['a', 'b'],
      );
    });
  }

  it('carries metadata there and headers, trailers and status details back, but not the caller’s credentials', async () => {
    let seen: Record<string, string | undefined> = {};
    await using fleet = await startFleet(1, () => ({
      echo: async (_request, { call }) => {
        const { requestMetadata: metadata } = call;
        const keys = ['x-own', 'x-api-key', 'x-token', 'x-forwarded-for', 'x-request-id'];
        seen = Object.fromEntries(keys.map((key) => [key, metadata.get(key)]));
        call.responseHeaders.set('x-head', 'h');
        call.responseTrailers.set('x-trail', 't');
        throw new AppError({ code: Code.NOT_FOUND, reason: 'NO_TITLE', message: 'no', metadata: { title: '7' } });
      },
    }));
    await using bed = await startRouted({
      filters: { routing: allTo(fleet.endpoints(), { metadata: { 'x-token': 'ours' } }) },
    });
    const back: unknown[] = [];
    const error = await rejectsWith(
      bed.client.echo(
        {},
        {
          metadata: { 'x-own': 'o', 'x-api-key': 'secret' },
          onHeader: (headers) => back.push(headers.get('x-head')),
          onTrailer: (trailers) => back.push(trailers.get('x-trail')),
        },
      ),
      Code.NOT_FOUND,
      'NO_TITLE',
    );
    assert.deepEqual(error.metadata, { title: '7' });
    assert.deepEqual(back, ['h', 't']);
    const { 'x-request-id': id, ...rest } = seen;
    assert.deepEqual(rest, {
      ...{ 'x-own': 'o', 'x-api-key': undefined, 'x-token': 'ours', 'x-forwarded-for': '127.0.0.1' },
    });
    assert.ok(id !== undefined && id.length > 10);
  });

  it('chooses by path, metadata, principal and percent, first rule first; no rule stays here', async () => {
    await using fleet = await startFleet(1);
    await using bed = await startRouted({
      filters: {
        routing: {
          clusters: { c: { endpoints: fleet.endpoints() } },
          rules: [
            { name: 'header', metadata: { 'x-to': ['canary*', '!canary-9'] }, cluster: 'c' },
            { name: 'who', principals: ['key:beta-*'], cluster: 'c' },
            { name: 'share', metadata: { 'x-share': ['*'] }, percent: 30, cluster: 'c' },
            { name: 'kept', paths: [pathOf('J*')], local: true },
            { name: 'streams', paths: ['/test.*/*', `!${pathOf('Echo')}`], cluster: 'c' },
          ],
          showRoute: true,
        },
      },
      own: {
        who: `run: (call) => {
          const id = call.requestMetadata.get('x-who');
          if (id) call.principal = { id, scopes: new Set(), method: 'api_key' };
        },`,
      },
      local: { echo: async () => ({ text: 'here' }), join: async () => ({ text: 'here' }) },
    });
    const { client } = bed;
    const echo = async (metadata: Record<string, string>) => (await client.echo({}, { metadata })).text;
    assert.equal(await echo({}), 'here');
    assert.equal(await echo({ 'x-to': 'canary-1' }), 'o0');
    assert.equal(await echo({ 'x-to': 'canary-9' }), 'here');
    assert.equal(await echo({ 'x-who': 'key:beta-7' }), 'o0');
    assert.equal(await echo({ 'x-who': 'key:other' }), 'here');
    assert.equal((await client.join(texts('a'))).text, 'here');
    let route: string | undefined;
    const onHeader = (headers: { get(key: string): string | undefined }) => {
      route = headers.get('x-route');
    };
    assert.equal((await Array.fromAsync(client.repeat({ count: 2 }, { onHeader }))).length, 2);
    assert.equal(route, 'streams');
    const drawn = await Promise.all(Array.from({ length: 300 }, () => echo({ 'x-share': 'yes' })));
    const share = drawn.filter((text) => text === 'o0').length / 300;
    assert.ok(share > 0.2 && share < 0.4, `${share} of the calls were routed`);
  });

  it('keeps a principal on its side of a sticky percentage', async () => {
    await using fleet = await startFleet(1);
    await using bed = await startRouted({
      filters: {
        routing: {
          clusters: { c: { endpoints: fleet.endpoints() } },
          rules: [{ name: 'half', percent: 50, sticky: true, cluster: 'c' }],
        },
      },
      own: {
        who: `run: (call) => {
          call.principal = { id: call.requestMetadata.get('x-who') ?? '', scopes: new Set(), method: 'api_key' };
        },`,
      },
      local: { echo: async () => ({ text: 'here' }) },
    });
    const side = async (who: number) => (await bed.client.echo({}, { metadata: { 'x-who': `user-${who}` } })).text;
    const first = await Promise.all(Array.from({ length: 200 }, (_, who) => side(who)));
    const second = await Promise.all(Array.from({ length: 200 }, (_, who) => side(who)));
    assert.deepEqual(first, second);
    const routed = first.filter((text) => text === 'o0').length;
    assert.ok(routed > 70 && routed < 130, `${routed} of 200 were routed`);
  });

  it('answers by a rule alone: messages or a failure', async () => {
    await using bed = await startRouted({
      filters: {
        routing: {
          rules: [
            {
              name: 'fixed',
              paths: [pathOf('Echo')],
              answer: { messages: [base64('fixed')], headers: { 'x-a': 'b' } },
            },
            { name: 'closed', answer: { code: 'UNAVAILABLE', text: 'closed for repair' } },
          ],
        },
      },
    });
    let header: string | undefined;
    const onHeader = (headers: { get(key: string): string | undefined }) => {
      header = headers.get('x-a');
    };
    assert.equal((await bed.client.echo({}, { onHeader })).text, 'fixed');
    assert.equal(header, 'b');
    const error = await rejectsWith(bed.client.join(texts('a')), Code.UNAVAILABLE, 'ROUTE_ANSWER');
    assert.equal(error.message, 'closed for repair');
  });

  it('cancels the origin with the caller, and hands the deadline on', async () => {
    let aborted = 0;
    const deadlines: number[] = [];
    await using fleet = await startFleet(1, () => ({
      async *repeat(_request, { signal, deadline }) {
        deadlines.push(deadline);
        yield {};
        await new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => {
            aborted++;
            reject(signal.reason);
          }),
        );
      },
    }));
    await using bed = await startRouted({ filters: { routing: allTo(fleet.endpoints()) } });
    for await (const _response of bed.client.repeat({})) break;
    await waitUntil('the origin hears of the cancel', () => aborted === 1);
    const before = Date.now();
    const stream = bed.client.repeat({}, { deadlineMs: 200 });
    await stream.next();
    await rejectsWith(stream.next(), Code.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED');
    await waitUntil('the origin hears of the deadline', () => aborted === 2);
    const [first, second] = deadlines;
    assert.equal(first, Number.POSITIVE_INFINITY);
    assert.ok(second !== undefined && second > before + 100 && second < before + 400);
    // The origin may hear of it before the call's own end.
    await waitUntil('no call is left', () => bed.origins.stats().inFlight === 0);
  });

  it('cuts a call at the time limit of its cluster', async () => {
    await using fleet = await startFleet(1, () => ({ echo: () => new Promise(() => {}) }));
    await using bed = await startRouted({ filters: { routing: allTo(fleet.endpoints(), { timeoutMs: 50 }) } });
    await rejectsWith(bed.client.echo({}), Code.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED');
  });

  it('ends UNAVAILABLE when the origin dies in the middle of a stream, and says which tries were made', async () => {
    await using fleet = await startFleet(1, () => ({
      async *repeat() {
        yield { text: 'first' };
        await new Promise(() => {});
      },
    }));
    const book = createLogBook();
    await using bed = await startRouted({
      filters: { routing: allTo(fleet.endpoints(['z1']), {}, { showAttempts: true }) },
      log: book.log,
    });
    let attempts = '';
    const stream = bed.client.repeat(
      {},
      {
        onTrailer: (trailers) => {
          attempts = trailers.get('x-origin-attempts') ?? '';
        },
      },
    );
    assert.equal((await stream.next()).value?.text, 'first');
    await fleet.kill(0);
    const error = await stream.next().then(
      () => assert.fail('the stream went on'),
      (thrown: unknown) => thrown as AppError,
    );
    assert.equal(error.code, Code.UNAVAILABLE);
    assert.match(attempts, /^1 c\/127\.0\.0\.1:\d+@z1 UNAVAILABLE\(\w+\) [\d.]+ms$/);
    const [line] = book.of('call of an origin failed');
    assert.equal(line?.['attempts'], attempts);
    assert.doesNotMatch(error.message, /127\.0\.0\.1/);
  });

  it('refuses calls beyond the limit of the cluster, and calls of a cluster without instances', async () => {
    const gate = Promise.withResolvers<void>();
    await using fleet = await startFleet(1, () => ({
      echo: async () => {
        await gate.promise;
        return {};
      },
    }));
    await using bed = await startRouted({ filters: { routing: allTo(fleet.endpoints(), { maxRequests: 2 }) } });
    const held = [bed.client.echo({}), bed.client.echo({})];
    await waitUntil('both are at the origin', () => fleet.calls[0] === 2);
    await rejectsWith(bed.client.echo({}), Code.UNAVAILABLE, 'ORIGIN_OVERLOADED');
    gate.resolve();
    await Promise.all(held);
    await bed.client.echo({});
    await using empty = await startRouted({ filters: { routing: allTo([]) } });
    await rejectsWith(empty.client.echo({}), Code.UNAVAILABLE, 'ORIGIN_NONE_KNOWN');
  });

  for (const [what, routing, message] of [
    ['two places for one cluster', { clusters: { c: { endpoints: [], file: '/x' } } }, /give one of endpoints/],
    ['a malformed address', { clusters: { c: { endpoints: [{ address: 'nowhere' }] } } }, /no host:port/],
    ['a missing file', { clusters: { c: { file: '/nowhere.json' } } }, /ENOENT/],
    ['a rule without a target', { rules: [{ name: 'r' }] }, /rules\[0\]: give one of/],
    ['a rule with two', { rules: [{ name: 'r', local: true, answer: {} }] }, /rules\[0\]: give one of/],
    ['a rule to an unknown cluster', { rules: [{ name: 'r', cluster: 'no' }] }, /there is no cluster no/],
    ['a code that is none', { rules: [{ name: 'r', answer: { code: 'BAD' } }] }, /answer.code: expected one of/],
  ] as const) {
    it(`does not load with ${what}`, async () => {
      await assert.rejects(startRouted({ filters: { routing } }), message);
    });
  }
});
