import assert from 'node:assert/strict';
import { EventService } from '../../proto/gen/showrunner/events/v1/event_service_pb.ts';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import { serviceOf } from '../../server/rpc/handler.ts';
import { startRpcServer } from '../../server/rpc/server.ts';
import { rejectsWith } from '../support/rejects-with.ts';

/** Nobody waits for it: the close is over before. */
const drainTimeoutMs = 600_000;

describe('rpc streams of changes', () => {
  it('end with SERVER_CLOSING at the close, which does not wait for them', async () => {
    const isFinished = Promise.withResolvers<boolean>();
    const service = serviceOf(EventService, {
      publishEvent: async () => ({}),
      async *publishEvents() {},
      listEvents: async () => ({}),
      async *watchEvents(_request, { signal }) {
        try {
          yield {};
          await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        } finally {
          isFinished.resolve(signal.aborted);
        }
      },
    });
    const server = await startRpcServer({
      address: '127.0.0.1:0',
      services: [service],
      log: silentLogger,
      clock: systemClock,
      maxMessageBytes: 65_536,
      maxMetadataBytes: 8_192,
      drainTimeoutMs,
      reflection: false,
      health: false,
    });
    using client = createRpcClient(EventService, { address: server.address });
    const changes = client.watchEvents({});
    assert.equal((await changes.next()).done, false);
    const closed = server.close();
    await rejectsWith(changes.next(), Code.UNAVAILABLE, 'SERVER_CLOSING');
    assert.equal(await isFinished.promise, true);
    await closed;
  });
});
