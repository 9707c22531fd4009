import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { parseFilterLine } from '../support/filter-line.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createLogBook } from './bed/log-book.ts';
import { runCall } from './bed/run-call.ts';
import { startShipped } from './bed/shipped.ts';

const id = 'showrunner.access-log';

async function startLog(config = {}, others: Record<string, unknown> = {}) {
  const book = createLogBook();
  const only = [id, ...Object.keys(others)];
  const engine = await startShipped({ [id]: config, ...others }, { clock: createFakeClock(), log: book.log, only });
  return { book, engine, [Symbol.asyncDispose]: () => engine.close() };
}

describe('request ids', () => {
  it('are taken from a valid x-request-id and sent back', async () => {
    await using bed = await startLog();
    for (const given of ['a', 'Req-1.2_3:4', '0'.repeat(128)]) {
      const call = createFakeCall({ metadata: { 'x-request-id': given } });
      await runCall(bed.engine, call);
      assert.deepEqual([call.id, call.responseHeaders.get('x-request-id')], [given, given]);
      assert.equal(bed.engine.explain(given)?.callId, given);
    }
  });

  it("stay the call's own when the given one is absent or not safe to repeat", async () => {
    await using bed = await startLog();
    for (const given of [undefined, '', ' a', 'a b', '../../etc', 'a\nb', 'ü', '0'.repeat(129)]) {
      const call = createFakeCall(given === undefined ? {} : { metadata: { 'x-request-id': given } });
      const { id: own } = call;
      await runCall(bed.engine, call);
      assert.deepEqual([call.id, call.responseHeaders.get('x-request-id')], [own, own]);
    }
  });

  it('are made when the call has none', async () => {
    await using bed = await startLog();
    const call = createFakeCall({ id: '' });
    await runCall(bed.engine, call);
    assert.match(call.id, /^[0-9a-z]{22}$/);
  });
});

describe('the access log', () => {
  it('writes one line per call with its outcome and filters', async () => {
    await using bed = await startLog({ accounts: 'all' });
    const principal = { id: 'key:demo', scopes: new Set<string>(), method: 'api_key' as const };
    const call = createFakeCall({ kind: 'bidi_stream', principal });
    await runCall(bed.engine, call, { requests: [1, 2, 3] });
    const [line, ...more] = bed.book.of('call');
    assert.equal(more.length, 0);
    const { time: _time, filters, ...fields } = line ?? {};
    assert.deepEqual(fields, {
      ...{ level: 'info', message: 'call', filter: id, call_id: call.id, method: '/test.Service/Get' },
      ...{ kind: 'bidi_stream', code: 'OK', duration_ms: 1, request_messages: 3, response_messages: 3 },
      ...{ principal: 'key:demo', auth: 'api_key', peer: '127.0.0.1:50000', filters_us: 0 },
    });
    const traces = parseFilterLine(String(filters));
    assert.equal(traces.find((trace) => trace.id === id)?.status, 'ran');
  });

  it('has the account of the filters for failed and slow calls and a sample of the others', async () => {
    const accounts = async (config: object, outcome: object, calls = 1) => {
      await using bed = await startLog(config);
      for (let i = 0; i < calls; i++) {
        const session = bed.engine.open(createFakeCall());
        await session?.inbound?.();
        const ended = { code: Code.OK, error: undefined, durationMs: 1, requestMessages: 1, responseMessages: 1 };
        session?.end?.({ ...ended, ...outcome });
      }
      const lines = bed.book.of('call');
      assert.equal(lines.length, calls);
      return lines.filter((line) => line['filters'] !== undefined).length;
    };
    const error = new AppError({ code: Code.NOT_FOUND, reason: 'GONE', message: 'gone' });
    assert.equal(await accounts({ samplePercent: 0 }, {}), 0);
    assert.equal(await accounts({ samplePercent: 100 }, {}), 1);
    assert.equal(await accounts({ samplePercent: 0 }, { code: Code.NOT_FOUND, error }), 1);
    assert.equal(await accounts({ samplePercent: 0, slowMs: 50 }, { durationMs: 51 }), 1);
    assert.equal(await accounts({ samplePercent: 0, slowMs: 50 }, { durationMs: 50 }), 0);
    const sampled = await accounts({ samplePercent: 20 }, {}, 500);
    assert.ok(sampled > 60 && sampled < 150, `${sampled} of 500`);
  });

  it('has a line for a call that another filter refused, and never a value of its metadata', async () => {
    await using bed = await startLog({}, { 'showrunner.auth': {} });
    const metadata = { 'x-api-key': 'topsecret', authorization: 'Bearer topsecret', cookie: 'topsecret' };
    await runCall(bed.engine, createFakeCall({ metadata }));
    const [line] = bed.book.of('call');
    assert.deepEqual([line?.['code'], line?.['reason']], ['UNAUTHENTICATED', 'CREDENTIALS_AMBIGUOUS']);
    assert.match(String(line?.['filters']), /showrunner\.auth@[\d.]+:inbound=short_circuited\(refused\)/);
    assert.ok(!JSON.stringify(bed.book.lines).includes('topsecret'));
  });

  it('leaves out successful calls of quiet paths, but not failed ones', async () => {
    await using bed = await startLog({ quietPaths: ['/test.Service/*'] });
    await runCall(bed.engine, createFakeCall());
    assert.equal(bed.book.of('call').length, 0);
    await runCall(bed.engine, createFakeCall({ service: 'other.Service' }));
    assert.equal(bed.book.of('call').length, 1);
    await using failing = await startLog({ quietPaths: ['*'] }, { 'showrunner.auth': {} });
    await runCall(failing.engine, createFakeCall());
    assert.equal(failing.book.of('call').length, 1);
  });

  it('shortens what a caller can make long', async () => {
    await using bed = await startLog();
    await runCall(bed.engine, createFakeCall({ known: false, service: 'x'.repeat(10_000) }));
    assert.ok(String(bed.book.of('call')[0]?.['method']).length < 300);
  });
});
