import assert from 'node:assert/strict';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { startEcho } from './fixtures/echo-server.ts';
import { createRecordingPipeline } from './fixtures/recording-pipeline.ts';

const service = 'test.echo.v1.EchoService';

describe('rpc health', () => {
  it('reports each service and the whole server, and follows setServing', async () => {
    await using echo = await startEcho({}, { health: true });
    using health = createRpcClient(Health, { address: echo.server.address });
    assert.equal((await health.check({})).status, Status.SERVING);
    assert.equal((await health.check({ service })).status, Status.SERVING);
    echo.server.setServing(service, false);
    assert.equal((await health.check({ service })).status, Status.NOT_SERVING);
    assert.equal((await health.check({})).status, Status.SERVING);
    const error = await rejectsWith(health.check({ service: 'unknown' }), Code.NOT_FOUND, 'NOT_FOUND');
    assert.match(error.message, /unknown/);
    assert.deepEqual(Object.keys((await health.list({})).statuses).sort(), ['', service]);
  });

  it('streams changes, says NOT_SERVING before the server drains, and does not hold up the close', async () => {
    const echo = await startEcho({}, { health: true, drainTimeoutMs: 60_000 });
    using health = createRpcClient(Health, { address: echo.server.address });
    const watch = health.watch({});
    assert.equal((await watch.next()).value?.status, Status.SERVING);
    echo.server.setServing('', false);
    assert.equal((await watch.next()).value?.status, Status.NOT_SERVING);
    echo.server.setServing('', true);
    assert.equal((await watch.next()).value?.status, Status.SERVING);
    const closing = echo.server.close();
    assert.equal((await watch.next()).value?.status, Status.NOT_SERVING);
    assert.equal((await watch.next()).done, true);
    const started = performance.now();
    await closing;
    assert.ok(performance.now() - started < 20_000);
    echo.client.close();
  });

  it('is NOT_SERVING for every service once the close is announced, while calls are still answered', async () => {
    await using echo = await startEcho({}, { health: true });
    using health = createRpcClient(Health, { address: echo.server.address });
    echo.server.announceClose();
    const { statuses } = await health.list({});
    assert.deepEqual(
      Object.values(statuses).map(({ status }) => status),
      [Status.NOT_SERVING, Status.NOT_SERVING],
    );
    await echo.client.echo({});
  });

  it('answers past the filters, because probes must work under load shedding', async () => {
    const pipeline = createRecordingPipeline();
    await using echo = await startEcho({}, { health: true, pipeline });
    using health = createRpcClient(Health, { address: echo.server.address });
    await health.check({});
    assert.deepEqual(pipeline.events, []);
  });

  it('is off when the option says so', async () => {
    await using echo = await startEcho({}, { health: false });
    using health = createRpcClient(Health, { address: echo.server.address });
    await rejectsWith(health.check({}), Code.UNIMPLEMENTED, 'METHOD_UNKNOWN');
    echo.server.setServing('', false);
    echo.server.announceClose();
  });
});
