import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import type { NewNotification } from '../../server/notifications/notification.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { deviceNamed, listen, openNotifications, profile } from './open-notifications.ts';

const refresh: NewNotification = { notificationId: 'a', profile, kind: 'rows.refreshed', payload: { row: 'continue' } };
const dayMs = 86_400_000;

describe('publishing a notification', () => {
  it('stores it with its offset, a life of 7 days and normal priority', async () => {
    await using app = await openNotifications();
    const { notification, duplicate } = await app.area.publish(refresh);
    assert.equal(duplicate, false);
    assert.deepEqual([notification.offset, notification.priority], [1n, 'normal']);
    assert.equal(notification.expireMs, app.clock.now() + 7 * dayMs);
    assert.deepEqual(notification.payload, { row: 'continue' });
  });

  it('answers a repeat with the first, and refuses the id for another body', async () => {
    await using app = await openNotifications();
    const first = await app.area.publish(refresh);
    await app.clock.advance(1_000);
    const again = await app.area.publish(refresh);
    assert.deepEqual([again.duplicate, again.notification], [true, first.notification]);
    for (const change of [{ payload: {} }, { kind: 'x' }, { ttlMs: 1_000 }, { targets: { categories: ['tv'] } }]) {
      const reused = app.area.publish({ ...refresh, ...change });
      await rejectsWith(reused, Code.FAILED_PRECONDITION, 'NOTIFICATION_ID_REUSED');
    }
    const elsewhere = await app.area.publish({ ...refresh, profile: 'profiles/8', payload: {} });
    assert.equal(elsewhere.duplicate, false, 'ids are per profile');
  });

  it('tells which devices got it and which will pull it', async () => {
    await using app = await openNotifications();
    const tv = listen(app.area, deviceNamed('tv'));
    await tv.frame('hello');
    await app.area.sync(deviceNamed('phone', { category: 'phone' }), undefined, 10);
    const { pushedDevices, pendingDevices } = await app.area.publish(refresh);
    assert.deepEqual([pushedDevices, pendingDevices], [['tv'], ['phone']]);
    assert.deepEqual(tv.offsets(), [1n]);
    await tv.leave();
    const later = await app.area.publish({ ...refresh, notificationId: 'b' });
    assert.deepEqual([later.pushedDevices, later.pendingDevices], [[], ['phone', 'tv']]);
  });

  it('reaches only the devices that it is for', async () => {
    await using app = await openNotifications();
    const hdr = listen(app.area, deviceNamed('hdr-tv', { capabilities: ['hdr', 'rows-v2'] }));
    const plain = listen(app.area, deviceNamed('plain-tv'));
    const phone = listen(app.area, deviceNamed('phone', { category: 'phone', capabilities: ['hdr'] }));
    const listeners = [hdr, plain, phone];
    for (const listener of listeners) await listener.frame('hello');
    const publish = async (targets: NewNotification['targets'] & object) => {
      const { pushedDevices } = await app.area.publish({ profile, kind: 'k', targets });
      return pushedDevices;
    };
    assert.deepEqual(await publish({ categories: ['tv'] }), ['hdr-tv', 'plain-tv']);
    assert.deepEqual(await publish({ capabilities: ['hdr'] }), ['hdr-tv', 'phone']);
    assert.deepEqual(await publish({ categories: ['tv', 'phone'], capabilities: ['hdr', 'rows-v2'] }), ['hdr-tv']);
    assert.deepEqual(await publish({ excludeDevice: 'phone' }), ['hdr-tv', 'plain-tv']);
    assert.deepEqual(await publish({ categories: ['web'] }), []);
    assert.deepEqual(
      listeners.map((listener) => listener.offsets()),
      [[1n, 2n, 3n, 4n], [1n, 4n], [2n]],
    );
    for (const listener of listeners) await listener.leave();
  });

  it('takes an id made of a prefix and the longest id of an event, in any script', async () => {
    await using app = await openNotifications();
    const notificationId = `rows-${'語'.repeat(128)}`;
    assert.equal((await app.area.publish({ ...refresh, notificationId })).notification.notificationId, notificationId);
  });

  it('does not store what had expired before, and counts it', async () => {
    await using app = await openNotifications();
    const stale = { ...refresh, ttlMs: 60_000, sinceMs: app.clock.now() - 60_000 };
    await rejectsWith(app.area.publish(stale), Code.FAILED_PRECONDITION, 'NOTIFICATION_EXPIRED');
    assert.equal(app.area.counters.snapshot().expired_at_store, 1);
    assert.equal((await app.area.publish(refresh)).notification.offset, 1n);
  });

  const faulty: [string, Partial<NewNotification>, string][] = [
    ['an id of 161 characters', { notificationId: 'x'.repeat(161) }, 'notification_id'],
    ['a profile of another form', { profile: 'profiles/' }, 'profile'],
    ['an upper-case kind', { kind: 'Rows' }, 'kind'],
    ['an empty kind', { kind: '' }, 'kind'],
    ['a long subject', { subject: 'x'.repeat(257) }, 'subject'],
    ['a payload over 4 KiB', { payload: { text: 'x'.repeat(4_096) } }, 'payload'],
    ['a payload that JSON cannot hold', { payload: { n: Number.POSITIVE_INFINITY } }, 'payload'],
    ['a long collapse key', { collapseKey: 'x'.repeat(129) }, 'collapse_key'],
    ['a life of nothing', { ttlMs: 0 }, 'ttl'],
    ['a negative life', { ttlMs: -1 }, 'ttl'],
    ['a life of over 30 days', { ttlMs: 30 * dayMs + 1 }, 'ttl'],
    ['an empty category', { targets: { categories: ['tv', ''] } }, 'targets.categories[1]'],
    ['33 capabilities', { targets: { capabilities: Array(33).fill('hdr') } }, 'targets.capabilities'],
  ];
  for (const [what, change, field] of faulty) {
    it(`refuses ${what} and names ${field}`, async () => {
      await using app = await openNotifications();
      const error = await rejectsWith(
        app.area.publish({ ...refresh, ...change }),
        Code.INVALID_ARGUMENT,
        'INVALID_FIELDS',
      );
      assert.deepEqual(
        error.fields.map((fault) => fault.field),
        [`notification.${field}`],
      );
    });
  }
});
