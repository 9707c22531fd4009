import assert from 'node:assert/strict';
import { create, toBinary } from '@bufbuild/protobuf';
import type { CallMetadata } from '../../server/core/call.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { EchoResponseSchema } from '../rpc/fixtures/echo.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { allTo, pathOf, startFleet, startRouted } from './bed/routed.ts';

const down = () => new AppError({ code: Code.UNAVAILABLE, reason: 'DOWN', message: 'down' });
const base64 = (text: string) =>
  Buffer.from(toBinary(EchoResponseSchema, create(EchoResponseSchema, { text }))).toString('base64');

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

  it('tells callers that were not authenticated here apart by what they show the origin', async () => {
    let isDown = false;
    await using fleet = await startFleet(1, () => ({
      echo: async (_request, { call }) => {
        if (isDown) throw down();
        return { text: `of ${call.requestMetadata.get('authorization')}` };
      },
    }));
    await using bed = await startRouted({
      filters: { routing: allTo(fleet.endpoints(), { dropMetadata: [] }), fallback: rules({ kind: 'cached' }) },
    });
    const as = (authorization: string, from: string) =>
      bed.client.echo({}, { metadata: { authorization, 'x-forwarded-for': from } });
    await as('ann', '10.0.0.1');
    isDown = true;
    assert.equal((await as('ann', '10.0.0.1')).text, 'of ann');
    await rejectsWith(as('bob', '10.0.0.1'), Code.UNAVAILABLE, 'DOWN');
    await rejectsWith(as('ann', '10.0.0.2'), Code.UNAVAILABLE, 'DOWN');
  });

  for (const isKnown of [true, false]) {
    it(`gives the last good response to a request that was never read, of ${isKnown ? 'a known' : 'an unknown'} method`, async () => {
      await using fleet = await startFleet(1, () => ({
        echo: async ({ text }, { signal }) => {
          if (text === 'hold') await new Promise((resolve) => signal.addEventListener('abort', resolve));
          return { text };
        },
      }));
      await using bed = await startRouted({
        filters: {
          routing: allTo(fleet.endpoints(), { maxRequests: 1 }),
          fallback: rules({ kind: 'cached' }),
        },
        ...(isKnown ? { local: {} } : {}),
      });
      assert.equal((await bed.client.echo({ text: 'a' })).text, 'a');
      const leaving = new AbortController();
      const held = assert.rejects(bed.client.echo({ text: 'hold' }, { signal: leaving.signal }));
      await waitUntil('the cluster is full', () => fleet.calls[0] === 2);
      assert.equal((await bed.client.echo({ text: 'a' })).text, 'a');
      await rejectsWith(bed.client.echo({ text: 'b' }), Code.UNAVAILABLE, 'ORIGIN_OVERLOADED');
      // One whose caller has more to send cannot be told from another yet.
      const chat = bed.client.chat(
        (async function* () {
          yield { text: 'a' };
          await held;
        })(),
      );
      await rejectsWith(chat.next(), Code.UNAVAILABLE, 'ORIGIN_OVERLOADED');
      leaving.abort();
      await held;
    });
  }

  it('gives the last good response of the endpoint here, but does not run it again for another method', async () => {
    let isDown = false;
    let ran = 0;
    const local = {
      echo: async () => {
        ran++;
        if (isDown) throw down();
        return { text: 'good' };
      },
    };
    await using bed = await startRouted({ filters: { routing: {}, fallback: rules({ kind: 'cached' }) }, local });
    await bed.client.echo({ text: 'a' });
    isDown = true;
    assert.equal((await bed.client.echo({ text: 'a' })).text, 'good');
    ran = 0;
    await using other = await startRouted({
      filters: { routing: {}, fallback: rules({ kind: 'other', path: pathOf('Join') }) },
      local,
    });
    await rejectsWith(other.client.echo({}), Code.UNAVAILABLE, 'DOWN');
    assert.equal(ran, 1);
  });

  it('shows the headers of the one that answered alone, and says so before a stream', async () => {
    await using fleet = await startFleet(3, (index) => ({
      async *repeat(_request, { call }) {
        call.responseHeaders.set('x-from', `o${index}`);
        if (index < 2) throw down();
        yield { text: 'third' };
      },
    }));
    const [first, second, third] = fleet.endpoints();
    const routing = {
      clusters: { c: { endpoints: [first] }, d: { endpoints: [second] }, e: { endpoints: [third] } },
      rules: [{ cluster: 'c' }],
    };
    await using bed = await startRouted({
      filters: { routing, fallback: rules({ kind: 'other', cluster: 'd' }, { kind: 'other', cluster: 'e' }) },
    });
    let heard: unknown;
    const onHeader = (headers: CallMetadata) => {
      heard = [headers.get('x-fallback'), headers.getAll('x-from')];
    };
    assert.equal((await bed.client.repeat({}, { onHeader }).next()).value?.text, 'third');
    assert.deepEqual(heard, ['other', ['o2']]);
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
