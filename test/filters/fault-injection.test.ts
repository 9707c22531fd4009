import assert from 'node:assert/strict';
import { parseFault } from '../../plugins/filters/fault-injection/fault.ts';
import { Code } from '../../server/core/codes.ts';
import { startEcho } from '../rpc/fixtures/echo-server.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { holdCall } from './bed/held-call.ts';
import { runCall } from './bed/run-call.ts';
import { startOnly } from './bed/start-only.ts';

const id = 'showrunner.fault-injection';

function start(config: object, clock = createFakeClock()) {
  return startOnly({ [id]: { enabled: true, ...config } }, { clock, only: [id] });
}

type Engine = Awaited<ReturnType<typeof start>>;

async function codeOf(engine: Engine, call = createFakeCall()): Promise<Code | undefined> {
  return (await runCall(engine, call)).error?.code;
}

const withHeader = (fault: string) => createFakeCall({ metadata: { 'x-fault': fault } });

describe('the fault header', () => {
  it('reads what it knows, and nothing else', () => {
    assert.deepEqual(parseFault('abort=UNAVAILABLE; after=2;delay=100;rate=0.5'), {
      ...{ abort: Code.UNAVAILABLE, abortAfter: 2, delayMs: 100, messagesPerSecond: 0.5 },
    });
    assert.deepEqual(parseFault('drop-requests=5;drop-responses=100;reset=0;spread=3'), {
      ...{ dropRequests: 5, dropResponses: 100, resetAfter: 0, resetSpread: 3 },
    });
    const faulty = ['', 'abort', 'abort=OK', 'abort=NONE', 'delay=0', 'delay=x', 'delay=', 'delay=1e9', 'rate=-1'];
    faulty.push('after=2', 'toString=1', 'delay=5;', 'delay=5;x=1');
    faulty.push('drop-requests=101', 'drop-responses=', 'reset=-1', 'spread=3', 'reset=1;abort=INTERNAL;after=1');
    for (const text of faulty) assert.equal(parseFault(text), undefined, text);
  });
});

describe('fault injection', () => {
  it('is off unless it is switched on', async () => {
    await using engine = await start({ enabled: false, rules: [{ abort: 'INTERNAL' }], header: 'all' });
    assert.equal(engine.open(withHeader('abort=INTERNAL')), undefined);
  });

  it('aborts calls by path with the given code, before the handler, and says so', async () => {
    await using engine = await start({ rules: [{ paths: ['/test.Service/G*'], abort: 'RESOURCE_EXHAUSTED' }] });
    const call = createFakeCall();
    const { error, endpointSaw } = await runCall(engine, call);
    assert.deepEqual([error?.code, error?.reason], [Code.RESOURCE_EXHAUSTED, 'FAULT_INJECTED']);
    assert.equal(endpointSaw, undefined);
    assert.equal(call.responseTrailers.get('x-fault-injected'), 'abort');
    assert.equal(await codeOf(engine, createFakeCall({ method: 'List' })), undefined);
  });

  it('hits its share of the calls, the same ones for the same seed', async () => {
    const hits = async (seed: number) => {
      await using engine = await start({ seed, rules: [{ percent: 20, abort: 'ABORTED' }] });
      const codes: (Code | undefined)[] = [];
      for (let call = 0; call < 1000; call++) codes.push(await codeOf(engine));
      return codes.map((code) => (code === undefined ? '.' : 'x')).join('');
    };
    const first = await hits(5);
    const share = first.replaceAll('.', '').length;
    assert.ok(share > 150 && share < 250, `${share}`);
    assert.equal(await hits(5), first);
    assert.notEqual(await hits(6), first);
  });

  it('delays calls, and a call given up meanwhile ends at once', async () => {
    const clock = createFakeClock();
    await using engine = await start({ rules: [{ delayMs: 200 }] }, clock);
    const delayed = await holdCall(engine, createFakeCall());
    const call = createFakeCall();
    const givenUp = await holdCall(engine, call);
    await clock.advance(199);
    assert.equal(delayed.isEntered, false);
    call.abort(new Error('gone'));
    assert.equal((await givenUp.running).error?.reason, 'CALL_ABORTED');
    await clock.advance(1);
    assert.equal(delayed.isEntered, true);
    await delayed.end();
    assert.equal(clock.waiting, 0);
  });

  it('slows messages down in both directions', async () => {
    const clock = createFakeClock();
    await using engine = await start({ rules: [{ messagesPerSecond: 10 }] }, clock);
    const session = engine.open(createFakeCall({ kind: 'bidi_stream' }));
    await session?.inbound?.();
    const passed: string[] = [];
    const pass = async () => {
      for (const name of ['a', 'b', 'c']) {
        await session?.requestMessage?.(name);
        passed.push(`request ${name}`);
      }
      for (const name of ['a', 'b']) {
        await session?.responseMessage?.(name);
        passed.push(`response ${name}`);
      }
    };
    const passing = pass();
    await clock.advance(100);
    assert.deepEqual(passed, ['request a', 'request b']);
    await clock.advance(100);
    assert.deepEqual(passed.slice(2), ['request c', 'response a']);
    await clock.advance(100);
    await passing;
    session?.end?.({ code: 0, error: undefined, durationMs: 300, requestMessages: 3, responseMessages: 2 });
  });

  it('ends a stream after some messages', async () => {
    await using engine = await start({ rules: [{ abort: 'UNAVAILABLE', abortAfter: 2 }] });
    const endpoint = () => [1, 2, 3, 4];
    const { error, responses } = await runCall(engine, createFakeCall({ kind: 'server_stream' }), { endpoint });
    assert.equal(error?.code, Code.UNAVAILABLE);
    assert.deepEqual(responses, [1, 2]);
  });

  it('loses its share of the messages in each direction, the same ones for the same seed, and none of other calls', async () => {
    const messages = Array.from({ length: 1000 }, (_, index) => index);
    const pass = async (rule: object, seed: number) => {
      await using engine = await start({ seed, rules: [rule] });
      const {
        responses,
        endpointSaw = [],
        error,
      } = await runCall(engine, createFakeCall({ kind: 'bidi_stream' }), {
        requests: messages,
        endpoint: () => messages,
      });
      assert.equal(error, undefined);
      return { requests: endpointSaw, responses };
    };
    const lossy = { dropRequests: 30, dropResponses: 10 };
    const first = await pass(lossy, 3);
    assert.ok(first.requests.length > 620 && first.requests.length < 780, `${first.requests.length}`);
    assert.ok(first.responses.length > 850 && first.responses.length < 950, `${first.responses.length}`);
    assert.deepEqual(await pass(lossy, 3), first);
    assert.notDeepEqual(await pass(lossy, 4), first);
    assert.equal((await pass({ dropRequests: 100 }, 3)).requests.length, 0);
    assert.equal((await pass({ dropRequests: 100 }, 3)).responses.length, 1000);
    await using engine = await start({ rules: [{ dropRequests: 100, dropResponses: 100 }] });
    const { responses, endpointSaw } = await runCall(engine, createFakeCall());
    assert.deepEqual([endpointSaw, responses], [['request'], ['request']], 'a single message is never lost');
    const oneWay = await runCall(engine, createFakeCall({ kind: 'server_stream' }), { endpoint: () => [1, 2] });
    assert.deepEqual([oneWay.endpointSaw, oneWay.responses], [['request'], []]);
  });

  it('resets a stream after some messages of either direction, also for its handler', async () => {
    await using engine = await start({ rules: [{ resetAfter: 3 }] });
    const stopped: (string | undefined)[] = [];
    const call = createFakeCall({ kind: 'bidi_stream', stop: (reason) => void stopped.push(reason.reason) });
    const { error, endpointSaw } = await runCall(engine, call, { requests: [1, 2, 3, 4] });
    assert.deepEqual([error?.code, endpointSaw, stopped], [Code.UNAVAILABLE, undefined, ['FAULT_INJECTED']]);
    assert.equal(call.responseTrailers.get('x-fault-injected'), 'reset');
    const mixed = await runCall(engine, createFakeCall({ kind: 'bidi_stream' }), { requests: [1, 2] });
    assert.deepEqual([mixed.endpointSaw, mixed.responses], [[1, 2], [1]]);
    assert.equal(await codeOf(engine), undefined, 'a unary call is no stream');
    const spread = async (seed: number) => {
      await using drawn = await start({ seed, rules: [{ resetAfter: 1, resetSpread: 50, abort: 'ABORTED' }] });
      const lengths: number[] = [];
      for (let count = 0; count < 10; count++) {
        const stream = createFakeCall({ kind: 'server_stream' });
        const result = await runCall(drawn, stream, { endpoint: () => Array.from({ length: 60 }, () => 0) });
        assert.equal(result.error?.code, Code.ABORTED);
        lengths.push(result.responses.length);
      }
      return lengths;
    };
    const lengths = await spread(1);
    assert.ok(new Set(lengths).size > 3 && lengths.every((length) => length <= 50), `${lengths}`);
    assert.deepEqual(await spread(1), lengths);
  });

  it('loses messages and resets streams over a real connection', async () => {
    await using engine = await start({ header: 'all' });
    let hasEnded = false;
    await using echo = await startEcho(
      {
        chat: async function* (requests) {
          try {
            for await (const { text } of requests) yield { text };
          } finally {
            hasEnded = true;
          }
        },
      },
      { pipeline: engine },
    );
    const chat = (fault: string) =>
      echo.client.chat(
        (async function* () {
          for (const text of ['a', 'b', 'c']) yield { text };
        })(),
        { metadata: { 'x-fault': fault } },
      );
    assert.deepEqual(await Array.fromAsync(chat('drop-requests=100')), []);
    assert.deepEqual(await Array.fromAsync(chat('drop-responses=100')), []);
    assert.equal((await Array.fromAsync(chat('drop-responses=0'))).length, 3);
    hasEnded = false;
    await rejectsWith(Array.fromAsync(chat('reset=2')), Code.UNAVAILABLE, 'FAULT_INJECTED');
    await waitUntil('the handler ended', () => hasEnded);
  });

  it('neither loses nor resets by a header that is not allowed, nor beyond the most calls at once', async () => {
    const metadata = { 'x-fault': 'drop-requests=100;reset=0' };
    const stream = () => createFakeCall({ kind: 'bidi_stream', metadata });
    for (const header of ['none', 'scope']) {
      await using engine = await start({ header });
      const { responses, error } = await runCall(engine, stream());
      assert.deepEqual([responses, error], [['request'], undefined], header);
    }
    await using engine = await start({ header: 'all', maxActive: 1 });
    const first = await holdCall(engine, createFakeCall({ metadata: { 'x-fault': 'drop-requests=100' } }));
    assert.equal((await runCall(engine, stream())).error, undefined);
    await first.end();
    assert.equal((await runCall(engine, stream())).error?.code, Code.UNAVAILABLE);
  });

  it('obeys the header only of those who may, and ignores one that cannot be read', async () => {
    const principal = (...scopes: string[]) => ({ id: 'ann', scopes: new Set(scopes), method: 'jwt' as const });
    const metadata = { 'x-fault': 'abort=INTERNAL' };
    for (const [header, scopes, expected] of [
      ['none', ['faults.inject'], undefined],
      ['scope', [], undefined],
      ['scope', ['faults.inject'], Code.INTERNAL],
      ['all', [], Code.INTERNAL],
    ] as const) {
      await using engine = await start({ header });
      assert.equal(await codeOf(engine, createFakeCall({ metadata, principal: principal(...scopes) })), expected);
    }
    await using engine = await start({ header: 'all' });
    assert.equal(await codeOf(engine, withHeader('abort=everything')), undefined);
    await using closed = await start({});
    assert.equal(await codeOf(closed, withHeader('abort=INTERNAL')), undefined, 'never on by default');
  });

  it('spares calls while as many as allowed have a fault', async () => {
    const clock = createFakeClock();
    await using engine = await start({ maxActive: 2, rules: [{ delayMs: 100 }] }, clock);
    const delayed = [await holdCall(engine, createFakeCall()), await holdCall(engine, createFakeCall())];
    const spared = await holdCall(engine, createFakeCall());
    assert.equal(spared.isEntered, true);
    await spared.end();
    await clock.advance(100);
    for (const call of delayed) await call.end();
    const next = await holdCall(engine, createFakeCall());
    assert.equal(next.isEntered, false);
    await clock.advance(100);
    await next.end();
  });

  it('leaves exempt paths alone', async () => {
    await using engine = await start({ rules: [{ abort: 'INTERNAL' }] });
    assert.equal(
      await codeOf(engine, createFakeCall({ service: 'grpc.health.v1.Health', method: 'Check' })),
      undefined,
    );
  });

  it('refuses a configuration that cannot be', async () => {
    const faulty = [
      { abort: 'OK' },
      { percent: 101 },
      { delayMs: 100_000 },
      { abortAfter: 0 },
      { messagesPerSecond: 0 },
      { dropRequests: 101 },
      { dropResponses: -1 },
      { resetAfter: 1.5 },
    ];
    for (const rule of faulty) {
      await rejectsWith(start({ rules: [rule] }), Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    }
    for (const rule of [{ abortAfter: 1 }, { resetSpread: 1 }, { resetAfter: 1, abort: 'ABORTED', abortAfter: 1 }]) {
      await rejectsWith(start({ rules: [rule] }), Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    }
  });
});
