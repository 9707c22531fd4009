import assert from 'node:assert/strict';
import {
  type CheckCallRequest,
  ExternalFilterService,
} from '../../proto/gen/showrunner/filters/v1/external_filter_service_pb.ts';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { WireMetadata } from '../../server/rpc/metadata.ts';
import { createOrigins } from '../../server/rpc/raw-client.ts';
import { type RpcServer, startRpcServer } from '../../server/rpc/server.ts';
import { waitUntil } from '../support/wait-until.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { runCall } from './bed/run-call.ts';
import { startShipped } from './bed/shipped.ts';

const id = 'showrunner.external';

describe('a filter in a process of its own', () => {
  let server: RpcServer;
  let judge: (request: CheckCallRequest) => unknown;
  const origins = createOrigins({ maxMessageBytes: 1_000_000 });
  const principal = { id: 'key:ann', scopes: new Set(['a.read']), method: 'api_key' as const };
  const start = (config: object = {}) =>
    startShipped(
      { [id]: { enabled: true, target: server.address, timeoutMs: 5000, ...config } },
      { clock: systemClock, only: [id], capabilities: { origins } },
    );

  before(async () => {
    server = await startRpcServer({
      address: '127.0.0.1:0',
      services: [
        {
          desc: ExternalFilterService,
          handlers: new Map([['checkCall', async (request: unknown) => judge(request as CheckCallRequest)]]),
        },
      ],
      ...{ log: silentLogger, clock: systemClock, maxMessageBytes: 1_000_000, maxMetadataBytes: 16_384 },
      ...{ drainTimeoutMs: 100, reflection: false, health: false },
    });
  });
  after(async () => {
    await origins.close();
    await server.close();
  });

  it('sees the call, but of its metadata only what it is shown, and lets it pass', async () => {
    const seen: CheckCallRequest[] = [];
    judge = (request) => {
      seen.push(request);
      return {};
    };
    await using engine = await start({ shownMetadata: ['x-tenant'] });
    const call = createFakeCall({ principal, metadata: { 'x-tenant': 't1', authorization: 'secret' } });
    assert.equal((await runCall(engine, call)).error, undefined);
    const [request] = seen;
    assert.deepEqual(
      [request?.callId, request?.path, request?.principal, request?.scopes, request?.metadata, request?.isObserved],
      [call.id, '/test.Service/Get', 'key:ann', ['a.read'], { 'x-tenant': 't1' }, false],
    );
  });

  it('refuses with its own code, reason and wait, and odd ones are made sound', async () => {
    await using engine = await start();
    judge = () => ({ refusal: { code: 8, reason: 'TOO_MANY', message: 'slow down', retryAfter: { seconds: 2n } } });
    const { error, endpointSaw } = await runCall(engine, createFakeCall());
    assert.deepEqual([error?.code, error?.reason, error?.message], [Code.RESOURCE_EXHAUSTED, 'TOO_MANY', 'slow down']);
    assert.deepEqual([error?.retryAfterMs, endpointSaw], [2000, undefined]);
    judge = () => ({ refusal: { code: 0, reason: 'not a reason', message: '' } });
    const odd = (await runCall(engine, createFakeCall())).error;
    assert.deepEqual([odd?.code, odd?.reason], [Code.PERMISSION_DENIED, 'EXTERNAL_REFUSED']);
  });

  it('sets the metadata that it may, and no other', async () => {
    judge = () => ({
      requestMetadata: { 'x-tenant': 't2', 'x-other': '1', authorization: 'Bearer forged' },
      responseHeaders: { 'x-judged': 'yes', 'grpc-status': '0' },
    });
    await using engine = await start({ requestMetadata: ['x-tenant', 'auth*'], responseHeaders: ['*'] });
    const call = createFakeCall({ metadata: { authorization: 'real' } });
    await runCall(engine, call);
    const { requestMetadata: metadata, responseHeaders: headers } = call;
    assert.deepEqual(
      ['x-tenant', 'x-other', 'authorization'].map((key) => metadata.get(key)),
      ['t2', undefined, 'real'],
    );
    assert.deepEqual([headers.get('x-judged'), headers.get('grpc-status')], ['yes', undefined]);
  });

  it('may want what cannot be sent: that is left out, and the call passes', async () => {
    judge = () => ({ responseHeaders: { 'x-lines': 'a\nb', 'not a key': '1', 'x-judged': 'yes' } });
    await using engine = await start({ responseHeaders: ['*'] });
    const call = createFakeCall({ responseHeaders: new WireMetadata() });
    assert.equal((await runCall(engine, call)).error, undefined);
    assert.deepEqual(call.responseHeaders.keys(), ['x-judged']);
  });

  it('that fails, is too slow or away refuses calls, or lets them pass where that is wished', async () => {
    const cases: [config: object, judge: typeof judge][] = [
      [{}, () => Promise.reject(new Error('broken'))],
      [{ timeoutMs: 30 }, () => new Promise(() => {})],
      [{ target: '127.0.0.1:1' }, () => ({})],
    ];
    for (const [config, behaviour] of cases) {
      judge = behaviour;
      await using closed = await start(config);
      const { error, endpointSaw } = await runCall(closed, createFakeCall());
      assert.deepEqual([error?.reason, endpointSaw], ['EXTERNAL_FILTER_AWAY', undefined]);
      await using open = await start({ ...config, unjudged: 'pass' });
      assert.equal((await runCall(open, createFakeCall())).error, undefined);
    }
  });

  it('is only told of calls when it observes: no call waits, and its verdict changes nothing', async () => {
    let told = 0;
    const gate = Promise.withResolvers<void>();
    judge = async ({ isObserved }) => {
      if (isObserved) told++;
      await gate.promise;
      return { refusal: { code: 7, reason: 'NO', message: 'no' } };
    };
    await using engine = await start({ mode: 'observe', maxObserved: 2 });
    for (let i = 0; i < 5; i++) assert.equal((await runCall(engine, createFakeCall())).error, undefined);
    await waitUntil('it was told of two calls', () => told === 2);
    gate.resolve();
  });

  it('is off unless it is switched on, and needs a target then', async () => {
    judge = () => assert.fail('it was asked');
    await using engine = await start({ enabled: false });
    await runCall(engine, createFakeCall());
    await assert.rejects(start({ target: undefined }), /config.target: expected host:port/);
  });
});
