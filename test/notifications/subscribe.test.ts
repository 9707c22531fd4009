import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { deviceNamed, listen, openNotifications, profile, publishMany, withoutWait } from './open-notifications.ts';

const tv = deviceNamed('tv');
const offsetsTo = (count: number) => Array.from({ length: count }, (_, index) => BigInt(index + 1));

describe('a subscribed device', () => {
  it('hears hello, then what it missed, then what is new, in order without gap or repeat', async () => {
    await using app = await openNotifications();
    const { nextCursor } = await app.area.sync(tv, undefined, 1);
    await publishMany(app.area, 100);
    const publishing = publishMany(app.area, 150);
    const listener = listen(app.area, tv, nextCursor);
    await publishing;
    await waitUntil('all arrived', () => listener.offsets().length >= 250);
    assert.deepEqual(listener.offsets(), offsetsTo(250));
    const [hello] = listener.frames;
    assert.deepEqual(hello, { kind: 'hello', cursor: nextCursor, serverMs: app.clock.now(), heartbeatMs: 15_000 });
    await listener.leave();
  });

  it('misses nothing when its stream is lost again and again while others publish', async () => {
    await using app = await openNotifications();
    let { nextCursor: cursor } = await app.area.sync(tv, undefined, 1);
    let isDone = false;
    const publishing = publishMany(app.area, 400).finally(() => {
      isDone = true;
    });
    const seen: bigint[] = [];
    while (!isDone || seen.length < 400) {
      const listener = listen(app.area, tv, cursor);
      await waitUntil('some arrived', () => listener.offsets().length > 0 || seen.length === 400);
      await listener.leave();
      seen.push(...listener.offsets());
      cursor = { ...cursor, offset: seen.at(-1) ?? 0n };
    }
    await publishing;
    assert.deepEqual(seen, offsetsTo(400));
  });

  it('begins at its acknowledged place without a cursor, and at the head when it is new', async () => {
    await using app = await openNotifications();
    await publishMany(app.area, 3);
    const first = listen(app.area, tv);
    assert.equal((await first.frame('hello')).cursor.offset, 3n);
    await publishMany(app.area, 3);
    await first.frame('notification', 2);
    await first.leave();
    const { epoch } = (await first.frame('hello')).cursor;
    await app.area.acknowledge(profile, 'tv', { epoch, offset: 5n });
    const second = listen(app.area, tv);
    await second.frame('notification');
    assert.deepEqual(second.offsets(), [6n]);
    await second.leave();
  });

  it('hears heartbeats that carry the newest place', async () => {
    await using app = await openNotifications({ heartbeatMs: 5_000 });
    const listener = listen(app.area, tv);
    await listener.frame('hello');
    await app.area.publish({ profile, kind: 'k', targets: { categories: ['phone'] } });
    await app.clock.advance(4_999);
    assert.equal(listener.frames.filter(({ kind }) => kind === 'heartbeat').length, 0);
    await app.clock.advance(1);
    assert.equal((await listener.frame('heartbeat')).newest.offset, 1n);
    await app.clock.advance(5_000);
    await listener.frame('heartbeat', 1);
    await listener.leave();
  });

  it('is told to start over for another epoch and for a place that is no longer kept, never given a part', async () => {
    await using app = await openNotifications({ maxPerProfile: 4 });
    const { nextCursor } = await app.area.sync(tv, undefined, 1);
    await publishMany(app.area, 10);
    for (const [cursor, reason] of [
      [{ epoch: 'another', offset: 9n }, 'EPOCH_CHANGED'],
      [{ ...nextCursor, offset: 3n }, 'RETENTION'],
    ] as const) {
      const listener = listen(app.area, tv, cursor);
      const reset = await listener.frame('reset');
      assert.deepEqual([reset.reason, reset.cursor.offset], [reason, 10n]);
      assert.deepEqual(listener.offsets(), []);
      await listener.leave();
    }
    const listener = listen(app.area, tv, { ...nextCursor, offset: 6n });
    await listener.frame('notification', 3);
    assert.deepEqual(listener.offsets(), [7n, 8n, 9n, 10n]);
    await listener.leave();
  });

  it('is told to start over when the log is trimmed while it does not read', async () => {
    await using app = await openNotifications({ maxPerProfile: 40 });
    const { nextCursor } = await app.area.sync(tv, undefined, 1);
    await publishMany(app.area, 40);
    const stream = app.area.subscribe(tv, nextCursor, { signal: new AbortController().signal, cut: () => {} });
    await stream.next();
    await stream.next();
    await publishMany(app.area, 100);
    const kinds: string[] = [];
    let last = 0n;
    for await (const frame of stream) {
      kinds.push(frame.kind);
      if (frame.kind === 'notification') last = frame.notification.offset;
      if (frame.kind === 'reset') {
        assert.deepEqual([frame.reason, frame.cursor.offset], ['RETENTION', 140n]);
        break;
      }
    }
    assert.equal(last, 32n, 'what was read before is given, nothing after the gap');
    assert.ok(kinds.length <= 32);
  });

  it('is told to start over when all that it has not read grows too old to be kept', async () => {
    await using app = await openNotifications({ heartbeatMs: 60_000 });
    const { nextCursor } = await app.area.sync(tv, undefined, 1);
    await publishMany(app.area, 3);
    const month = 30 * 86_400_000;
    app.clock.skip(month - 1_000);
    const stream = app.area.subscribe(tv, nextCursor, { signal: new AbortController().signal, cut: () => {} });
    assert.equal((await stream.next()).value?.kind, 'hello');
    await app.clock.advance(1_000);
    const { value } = await stream.next();
    assert.ok(value?.kind === 'reset');
    assert.deepEqual([value.reason, value.cursor.offset], ['RETENTION', 3n]);
    await publishMany(app.area, 1);
    const next = (await stream.next()).value;
    assert.ok(next?.kind === 'notification');
    assert.equal(next.notification.offset, 4n);
    await stream.return(undefined);
  });

  it('loses its older stream to a newer one, which stays registered when the older one ends', async () => {
    await using app = await openNotifications();
    const older = listen(app.area, tv);
    await older.frame('hello');
    const newer = listen(app.area, tv);
    assert.equal((await older.frame('go_away')).reason, 'REPLACED');
    await older.ended;
    assert.equal(app.area.onlineCount(), 1);
    const { pushedDevices } = await app.area.publish({ profile, kind: 'k' });
    assert.deepEqual(pushedDevices, ['tv']);
    assert.deepEqual([older.offsets(), newer.offsets()], [[], [1n]]);
    await newer.leave();
    assert.equal(app.area.onlineCount(), 0);
  });

  it('is not confused with a device of the same id in another profile', async () => {
    await using app = await openNotifications();
    const mine = listen(app.area, tv);
    const theirs = listen(app.area, deviceNamed('tv', { profile: 'profiles/8' }));
    await mine.frame('hello');
    await theirs.frame('hello');
    assert.equal(app.area.onlineCount(), 2);
    await mine.leave();
    await theirs.leave();
  });

  it('is not given what expired between the log and the stream', async () => {
    await using app = await openNotifications();
    const { nextCursor } = await app.area.sync(tv, undefined, 1);
    await app.area.publish({ profile, kind: 'long' });
    await app.area.publish({ profile, kind: 'short', ttlMs: 1_000 });
    await app.area.publish({ profile, kind: 'gone', ttlMs: 10 });
    await app.clock.advance(10);
    const stream = app.area.subscribe(tv, nextCursor, { signal: new AbortController().signal, cut: () => {} });
    const kinds: string[] = [];
    for await (const frame of stream) {
      if (frame.kind === 'notification') {
        kinds.push(frame.notification.kind);
        // The batch was read; the reader takes its time.
        if (frame.notification.kind === 'long') {
          await app.clock.advance(1_000);
          await app.area.publish({ profile, kind: 'last' }, withoutWait);
        }
        if (frame.notification.kind === 'last') break;
      }
    }
    assert.deepEqual(kinds, ['long', 'last']);
    const { expired_at_dequeue, expired_at_write } = app.area.counters.snapshot();
    assert.deepEqual([expired_at_dequeue, expired_at_write], [1, 1]);
  });

  it('is not given what was replaced while it did not read', async () => {
    await using app = await openNotifications();
    const { nextCursor } = await app.area.sync(tv, undefined, 1);
    const publish = (n: number) =>
      app.area.publish({ profile, kind: 'k', collapseKey: 'rows', payload: { n } }, withoutWait);
    await app.area.publish({ profile, kind: 'first' });
    await publish(1);
    const stream = app.area.subscribe(tv, nextCursor, { signal: new AbortController().signal, cut: () => {} });
    const seen: unknown[] = [];
    for await (const frame of stream) {
      if (frame.kind !== 'notification') continue;
      if (frame.notification.kind === 'first') await publish(2);
      else {
        seen.push(frame.notification.payload['n']);
        break;
      }
    }
    assert.deepEqual(seen, [2]);
  });

  it('that takes nothing for too long is taken offline, told so when it reads again, and cut when it never does', async () => {
    await using app = await openNotifications({ slowConsumerMs: 10_000, goAwayGraceMs: 5_000 });
    const { nextCursor } = await app.area.sync(tv, undefined, 1);
    const cuts: string[] = [];
    const options = {
      signal: new AbortController().signal,
      cut: ({ reason }: { reason: string }) => void cuts.push(reason),
    };
    const stream = app.area.subscribe(tv, nextCursor, options);
    await stream.next();
    const taken = stream.next();
    await app.area.publish({ profile, kind: 'k' }, withoutWait);
    assert.equal((await taken).value?.kind, 'notification');
    await app.clock.advance(9_999);
    assert.equal(app.area.onlineCount(), 1);
    const ignored = await app.area.publish({ profile, kind: 'k' });
    assert.deepEqual([ignored.pushedDevices, ignored.pendingDevices], [[], ['tv']]);
    await app.clock.advance(1);
    assert.equal(app.area.onlineCount(), 0);
    assert.deepEqual(cuts, []);
    await app.clock.advance(5_000);
    assert.deepEqual(cuts, ['SLOW_CONSUMER']);
    const { value } = await stream.next();
    assert.ok(value?.kind === 'go_away' && value.reason === 'SLOW_CONSUMER' && value.retryAfterMs >= 1_000);
    assert.equal((await stream.next()).done, true);
    const page = await app.area.sync(tv, { ...nextCursor, offset: 1n }, 10);
    assert.deepEqual(
      page.notifications.map(({ offset }) => offset),
      [2n],
      'the rest waits in the log',
    );
  });

  it('is sent away at the end of its life, each at another time', async () => {
    await using app = await openNotifications({ maxLifetimeMs: 100_000 });
    const listeners = ['a', 'b', 'c', 'd'].map((name) => listen(app.area, deviceNamed(name)));
    for (const listener of listeners) await listener.frame('hello');
    const ends: number[] = [];
    for (let second = 0; second <= 100; second++) {
      await app.clock.advance(1_000);
      while (ends.length < listeners.filter(({ frames }) => frames.at(-1)?.kind === 'go_away').length)
        ends.push(second);
    }
    assert.equal(ends.length, 4);
    assert.ok((ends[0] ?? 0) >= 88 && new Set(ends).size > 1, `ended after ${ends} s`);
    for (const listener of listeners) assert.equal((await listener.frame('go_away')).reason, 'LIFETIME');
  });

  it('is sent away at the shutdown, with reconnects spread, and refused from then on', async () => {
    await using app = await openNotifications({ reconnectSpreadMs: 20_000 });
    const listeners = Array.from({ length: 20 }, (_, n) => listen(app.area, deviceNamed(`d${n}`)));
    for (const listener of listeners) await listener.frame('hello');
    await app.area.close();
    const waits = await Promise.all(listeners.map(async (listener) => (await listener.frame('go_away')).retryAfterMs));
    assert.ok(Math.min(...waits) >= 1_000 && Math.max(...waits) <= 21_000);
    assert.ok(Math.max(...waits) - Math.min(...waits) > 10_000, `spread over ${waits}`);
    await Promise.all(listeners.map(({ ended }) => ended));
    await rejectsWith(listen(app.area, tv).ended, Code.UNAVAILABLE, 'NOTIFICATIONS_CLOSING');
  });

  it('is refused beyond the bound of streams, but may replace its own', async () => {
    await using app = await openNotifications({ maxStreams: 2 });
    const first = listen(app.area, deviceNamed('a'));
    const second = listen(app.area, deviceNamed('b'));
    await first.frame('hello');
    await second.frame('hello');
    const error = await rejectsWith(
      listen(app.area, deviceNamed('c')).ended,
      Code.RESOURCE_EXHAUSTED,
      'TOO_MANY_STREAMS',
    );
    assert.ok((error.retryAfterMs ?? 0) >= 1_000);
    const again = listen(app.area, deviceNamed('a'));
    await again.frame('hello');
    await first.ended;
    await again.leave();
    const third = listen(app.area, deviceNamed('c'));
    await third.frame('hello');
    await third.leave();
    await second.leave();
  });

  it('leaves no timer behind when it goes', async () => {
    await using app = await openNotifications();
    const before = app.clock.waiting;
    const listener = listen(app.area, tv);
    await listener.frame('hello');
    await publishMany(app.area, 3);
    assert.ok(app.clock.waiting > before);
    await listener.leave();
    assert.equal(app.clock.waiting, before);
  });
});
