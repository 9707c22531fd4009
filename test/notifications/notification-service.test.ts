import assert from 'node:assert/strict';
import { durationFromMs, durationMs } from '@bufbuild/protobuf/wkt';
import { Priority } from '../../proto/gen/showrunner/notifications/v1/notification_pb.ts';
import {
  SubscribeRequestSchema,
  type SubscribeResponse,
} from '../../proto/gen/showrunner/notifications/v1/notification_service_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { frameOf, openRawCall } from '../rpc/fixtures/raw-call.ts';
import { countReads } from '../support/count-reads.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { profile, startNotificationService } from './open-notifications.ts';

type App = Awaited<ReturnType<typeof startNotificationService>>;

const tv = { device: 'devices/tv', profile, category: 'tv', capabilities: ['hdr'] };
const phone = { device: 'phone', profile, category: 'phone' };
const refresh = { profile, kind: 'rows.refreshed', payload: { row: 'continue' } };
const subscribePath = '/showrunner.notifications.v1.NotificationService/Subscribe';

/** Opens a stream and waits for its hello. */
async function subscribe(app: App, device: typeof tv | typeof phone, cursor?: { epoch: string; offset: bigint }) {
  const stream = app.client.subscribe(cursor === undefined ? { device } : { device, cursor });
  const next = async (): Promise<SubscribeResponse['frame']> =>
    (await stream.next()).value?.frame ?? { case: undefined };
  const hello = await next();
  assert.ok(hello.case === 'hello');
  return { stream, next, hello: hello.value };
}

describe('NotificationService over a socket', () => {
  it('pushes to the device that is online and lets the other pull, then both acknowledge', async () => {
    await using app = await startNotificationService();
    await app.client.sync({ device: phone });
    const online = await subscribe(app, tv);
    const published = await app.client.publish({
      notification: { ...refresh, priority: Priority.HIGH, ttl: durationFromMs(60_000) },
    });
    assert.deepEqual([published.pushedDevices, published.pendingDevices], [['tv'], ['phone']]);
    const pushed = await online.next();
    assert.deepEqual(pushed, { case: 'notification', value: published.notification });
    const pulled = await app.client.sync({ device: phone });
    assert.deepEqual(pulled.notifications, [published.notification]);
    const listed = await app.client.listDevices({ profile });
    assert.deepEqual(
      listed.devices.map(({ device, online, acknowledged }) => [device, online, acknowledged?.offset]),
      [
        ['phone', false, 0n],
        ['tv', true, 0n],
      ],
    );
    for (const device of ['devices/tv', 'phone']) {
      const { acknowledged } = await app.client.ack({ device, profile, cursor: pulled.nextCursor });
      assert.equal(acknowledged?.offset, 1n);
    }
    assert.deepEqual((await app.client.sync({ device: phone })).notifications, []);
    await online.stream.return?.();
  });

  it('lists devices in pages', async () => {
    await using app = await startNotificationService();
    for (let n = 0; n < 7; n++) await app.client.sync({ device: { device: `d${n}`, profile } });
    const names: string[] = [];
    let pageToken = '';
    do {
      const page = await app.client.listDevices({ profile, pageSize: 3, pageToken });
      names.push(...page.devices.map(({ device }) => device));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    assert.deepEqual(names, ['d0', 'd1', 'd2', 'd3', 'd4', 'd5', 'd6']);
    const { nextPageToken } = await app.client.listDevices({ profile, pageSize: 3 });
    const foreign = app.client.listDevices({ profile: 'profiles/8', pageToken: nextPageToken });
    assert.equal((await rejectsWith(foreign, Code.INVALID_ARGUMENT, 'INVALID_FIELDS')).fields[0]?.field, 'page_token');
  });

  it('takes a life of any part of a second, and never ends it early', async () => {
    await using app = await startNotificationService();
    await app.client.sync({ device: tv });
    for (const nanos of [1, 999, 123_456_789, 999_999_999]) {
      const { notification } = await app.client.publish({ notification: { ...refresh, ttl: { seconds: 60n, nanos } } });
      const ttl = Number(notification?.ttl?.seconds) * 1e9 + Number(notification?.ttl?.nanos);
      assert.ok(ttl >= 60e9 + nanos && ttl < 60e9 + nanos + 1e6, `${ttl}`);
    }
    assert.equal((await app.client.sync({ device: tv })).notifications.length, 4);
  });

  it('refuses malformed requests and names the field', async () => {
    await using app = await startNotificationService();
    const faults: [Promise<unknown>, string][] = [
      [app.client.publish({}), 'notification'],
      [app.client.publish({ notification: { ...refresh, priority: 99 as Priority } }), 'notification.priority'],
      [app.client.publish({ notification: { ...refresh, ttl: { seconds: 1n, nanos: -1 } } }), 'notification.ttl'],
      [app.client.sync({}), 'device'],
      [app.client.sync({ device: tv, pageSize: -1 }), 'page_size'],
      [app.client.subscribe({}).next(), 'device'],
      [app.client.subscribe({ device: { device: 'devices/', profile } }).next(), 'device.device'],
      [app.client.ack({ device: 'tv', profile }), 'cursor'],
      [app.client.ack({ device: '', profile, cursor: {} }), 'device'],
      [app.client.ack({ device: 'tv', profile: '7', cursor: {} }), 'profile'],
      [app.client.listDevices({ profile: '' }), 'profile'],
      [app.client.listDevices({ profile, pageToken: '%%' }), 'page_token'],
    ];
    for (const [call, field] of faults) {
      const error = await rejectsWith(call, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.deepEqual(
        error.fields.map((fault) => fault.field),
        [field],
      );
    }
  });

  it('releases the device when its stream is cancelled or its connection is lost', async () => {
    await using app = await startNotificationService();
    const cancel = new AbortController();
    const stream = app.client.subscribe({ device: tv }, { signal: cancel.signal });
    await stream.next();
    assert.equal(app.area.onlineCount(), 1);
    cancel.abort();
    await rejectsWith(stream.next(), Code.CANCELLED, 'CANCELLED');
    await waitUntil('the device is offline', () => app.area.onlineCount() === 0);
    await using raw = openRawCall(app.server.address, subscribePath);
    raw.stream.end(frameOf(SubscribeRequestSchema, { device: tv }));
    await waitUntil('the device is online', () => app.area.onlineCount() === 1);
    raw.session.destroy();
    await waitUntil('the device is offline again', () => app.area.onlineCount() === 0);
    await waitUntil('no call is left', () => app.server.stats().callsInFlight === 0);
    const { pendingDevices } = await app.client.publish({ notification: refresh });
    assert.deepEqual(pendingDevices, ['tv']);
  });

  it('misses nothing over lost connections while notifications are published', async () => {
    await using app = await startNotificationService();
    const { nextCursor } = await app.client.sync({ device: tv });
    const total = 300;
    const publishing = (async () => {
      for (let n = 0; n < total; n++) await app.client.publish({ notification: { ...refresh, payload: { n } } });
    })();
    const seen: bigint[] = [];
    let cursor = nextCursor;
    let streams = 0;
    while (seen.length < total) {
      const stream = app.client.subscribe(cursor === undefined ? { device: tv } : { device: tv, cursor });
      streams++;
      let taken = 0;
      for await (const { frame } of stream) {
        if (frame.case !== 'notification') continue;
        seen.push(frame.value.offset);
        // Leaving the loop cancels the call.
        if (++taken === 17 || seen.length === total) break;
      }
      cursor = { epoch: cursor?.epoch ?? '', offset: seen.at(-1) ?? 0n } as NonNullable<typeof cursor>;
    }
    await publishing;
    assert.deepEqual(
      seen,
      Array.from({ length: total }, (_, index) => BigInt(index + 1)),
    );
    assert.ok(streams > 10);
  });

  it('holds little for a device that does not read, and gives it everything when it does', async () => {
    await using app = await startNotificationService({ pushWaitMs: 0 });
    const { nextCursor } = await app.area.sync({ ...phone, device: 'slow', capabilities: [] }, undefined, 1);
    const read = countReads(app.stores.log);
    await using raw = openRawCall(app.server.address, subscribePath);
    raw.stream.pause();
    raw.stream.end(frameOf(SubscribeRequestSchema, { device: { ...phone, device: 'slow' }, cursor: nextCursor }));
    await waitUntil('it is online', () => app.area.onlineCount() === 1);
    const payload = { text: 'x'.repeat(4_000) };
    const count = 2_000;
    for (let n = 0; n < count; n += 100) {
      await Promise.all(Array.from({ length: 100 }, () => app.area.publish({ ...refresh, payload })));
    }
    assert.ok(read.entries < 300, `read ${read.entries} of ${count} entries for a device that takes none`);
    let bytes = 0;
    raw.stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    raw.stream.resume();
    await waitUntil('all arrived', () => read.entries === count && bytes > count * 4_000, 10_000);
    assert.equal(read.entries, count, 'each was read once');
  });

  it('ends the stream of a device that does not read for too long', async () => {
    await using app = await startNotificationService({ slowConsumerMs: 200, goAwayGraceMs: 100, pushWaitMs: 0 });
    await using raw = openRawCall(app.server.address, subscribePath);
    raw.stream.pause();
    raw.stream.end(frameOf(SubscribeRequestSchema, { device: tv }));
    await waitUntil('it is online', () => app.area.onlineCount() === 1);
    const payload = { text: 'x'.repeat(4_000) };
    await Promise.all(Array.from({ length: 500 }, () => app.area.publish({ ...refresh, payload })));
    await waitUntil('the call was ended', () => app.server.stats().callsInFlight === 0);
    assert.equal(app.area.onlineCount(), 0);
    raw.stream.resume();
    const status = await raw.status;
    assert.equal(status['grpc-status'], String(Code.RESOURCE_EXHAUSTED));
  });

  it('sends heartbeats, and a go-away with a spread retry time before it closes', async () => {
    await using app = await startNotificationService({ heartbeatMs: 30 });
    const { next, hello } = await subscribe(app, tv);
    assert.ok(hello.heartbeatInterval && durationMs(hello.heartbeatInterval) === 30);
    assert.equal((await next()).case, 'heartbeat');
    const closing = app.area.close();
    let frame = await next();
    while (frame.case === 'heartbeat') frame = await next();
    assert.ok(frame.case === 'goAway' && frame.value.reason === 'SHUTDOWN');
    assert.ok(frame.value.retryAfter && durationMs(frame.value.retryAfter) >= 1_000);
    assert.equal((await next()).case, undefined, 'the stream ends well after it');
    await closing;
    await rejectsWith(app.client.subscribe({ device: tv }).next(), Code.UNAVAILABLE, 'NOTIFICATIONS_CLOSING');
  });

  it('asks a device with a foreign cursor to start over', async () => {
    await using app = await startNotificationService();
    await app.client.publish({ notification: refresh });
    const { next, hello, stream } = await subscribe(app, tv, { epoch: 'lost', offset: 40n });
    const reset = await next();
    assert.ok(reset.case === 'reset' && reset.value.reason === 'EPOCH_CHANGED');
    assert.deepEqual(reset.value.cursor, hello.cursor);
    await stream.return?.();
    const synced = await app.client.sync({ device: tv, cursor: { epoch: 'lost', offset: 40n } });
    assert.equal(synced.reset?.reason, 'EPOCH_CHANGED');
    const unknown = app.client.ack({ device: 'tv', profile, cursor: { epoch: 'lost', offset: 1n } });
    await rejectsWith(unknown, Code.FAILED_PRECONDITION, 'CURSOR_UNKNOWN');
  });
});
