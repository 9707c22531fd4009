import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { createNotifications } from '../../server/notifications/create-notifications.ts';
import { openEmbeddedStores } from '../support/embedded-stores.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { deviceNamed, notificationDeps, openNotifications, profile, publishMany } from './open-notifications.ts';

const phone = deviceNamed('phone', { category: 'phone' });

describe('the inbox of a device', () => {
  it('starts a new device at the head and gives it what is stored later', async () => {
    await using app = await openNotifications();
    await publishMany(app.area, 3);
    const first = await app.area.sync(phone, undefined, 10);
    assert.deepEqual([first.notifications, first.nextCursor.offset, first.more], [[], 3n, false]);
    const stored = await publishMany(app.area, 2);
    const second = await app.area.sync(phone, undefined, 10);
    assert.deepEqual(second.notifications, stored);
  });

  it('gives pages that follow each other without gap or repeat', async () => {
    await using app = await openNotifications();
    const { nextCursor: start } = await app.area.sync(phone, undefined, 10);
    const stored = await publishMany(app.area, 257);
    const seen: bigint[] = [];
    let cursor = start;
    for (let more = true; more; ) {
      const page = await app.area.sync(phone, cursor, 20);
      assert.ok(page.notifications.length <= 20);
      seen.push(...page.notifications.map(({ offset }) => offset));
      cursor = page.nextCursor;
      more = page.more;
    }
    assert.deepEqual(
      seen,
      stored.map(({ offset }) => offset),
    );
  });

  it('keeps a page of large payloads below the size of a message', async () => {
    await using app = await openNotifications();
    const { nextCursor } = await app.area.sync(phone, undefined, 10);
    const payload = { text: 'x'.repeat(4_000) };
    await Promise.all(Array.from({ length: 500 }, () => app.area.publish({ profile, kind: 'k', payload })));
    const page = await app.area.sync(phone, nextCursor, 500);
    assert.ok(page.notifications.length > 200 && page.notifications.length < 300, String(page.notifications.length));
    assert.equal(page.more, true);
  });

  it('moves its cursor over what is not for the device', async () => {
    await using app = await openNotifications();
    const { nextCursor } = await app.area.sync(phone, undefined, 10);
    for (let n = 0; n < 2_500; n += 250) {
      const targets = { categories: ['tv'] };
      await Promise.all(Array.from({ length: 250 }, () => app.area.publish({ profile, kind: 'k', targets })));
    }
    const first = await app.area.sync(phone, nextCursor, 10);
    assert.deepEqual([first.notifications, first.nextCursor.offset, first.more], [[], 2_000n, true]);
    const second = await app.area.sync(phone, first.nextCursor, 10);
    assert.deepEqual([second.nextCursor.offset, second.more], [2_500n, false]);
  });

  it('leaves out what has expired', async () => {
    await using app = await openNotifications();
    await app.area.sync(phone, undefined, 10);
    await app.area.publish({ profile, kind: 'short', ttlMs: 1_000 });
    await app.area.publish({ profile, kind: 'long' });
    await app.clock.advance(1_000);
    const { notifications } = await app.area.sync(phone, undefined, 10);
    assert.deepEqual(
      notifications.map(({ kind }) => kind),
      ['long'],
    );
    assert.equal(app.area.counters.snapshot().expired_at_dequeue, 1);
  });

  it('gives only the newest of a collapse key, per profile and per kind of target', async () => {
    await using app = await openNotifications();
    await app.area.sync(phone, undefined, 10);
    const publish = (n: number, collapseKey: string, targets = {}, to = profile) =>
      app.area.publish({ profile: to, kind: 'k', payload: { n }, collapseKey, targets });
    await publish(1, 'rows');
    await publish(2, 'other');
    await publish(3, 'rows', { categories: ['phone'] });
    await publish(4, 'rows', { excludeDevice: 'tv' });
    await publish(5, 'rows', {}, 'profiles/8');
    await publish(6, 'other');
    const { notifications } = await app.area.sync(phone, undefined, 10);
    assert.deepEqual(
      notifications.map(({ payload }) => payload['n']),
      [3, 4, 6],
    );
    assert.equal(app.area.counters.snapshot().collapsed, 2);
  });

  it('keeps the newest when publishes of one key race', async () => {
    await using app = await openNotifications();
    await app.area.sync(phone, undefined, 10);
    await Promise.all(
      Array.from({ length: 40 }, (_, n) => app.area.publish({ profile, kind: 'k', payload: { n }, collapseKey: 'c' })),
    );
    const { notifications } = await app.area.sync(phone, undefined, 50);
    assert.deepEqual(
      notifications.map(({ offset }) => offset),
      [40n],
    );
  });

  it('asks for a reset when the cursor is of another epoch, ahead of the log, or older than it keeps', async () => {
    await using app = await openNotifications({ maxPerProfile: 5 });
    const { nextCursor } = await app.area.sync(phone, undefined, 10);
    await publishMany(app.area, 8);
    const { epoch } = nextCursor;
    const sync = async (cursor: { epoch: string; offset: bigint }) => {
      const page = await app.area.sync(phone, cursor, 10);
      return [page.reset?.reason, page.nextCursor.offset, page.notifications.length, page.more];
    };
    assert.deepEqual(await sync({ epoch: 'another', offset: 5n }), ['EPOCH_CHANGED', 8n, 0, false]);
    assert.deepEqual(await sync({ epoch, offset: 9n }), ['EPOCH_CHANGED', 8n, 0, false]);
    assert.deepEqual(await sync({ epoch, offset: 2n }), ['RETENTION', 8n, 0, false]);
    assert.deepEqual(await sync({ epoch, offset: 3n }), [undefined, 8n, 5, false]);
  });

  it('acknowledges forward only, and refuses places that the log does not have', async () => {
    await using app = await openNotifications();
    const { nextCursor } = await app.area.sync(phone, undefined, 10);
    await publishMany(app.area, 5);
    const { epoch } = nextCursor;
    const acknowledge = (offset: bigint, device = 'phone') => app.area.acknowledge(profile, device, { epoch, offset });
    assert.equal((await acknowledge(4n)).offset, 4n);
    assert.equal((await acknowledge(2n)).offset, 4n);
    const offsets = await Promise.all([5n, 3n, 1n, 5n].map((offset) => acknowledge(offset)));
    assert.equal(offsets.at(-1)?.offset, 5n);
    assert.deepEqual((await app.area.sync(phone, undefined, 10)).notifications, []);
    await rejectsWith(acknowledge(6n), Code.FAILED_PRECONDITION, 'CURSOR_UNKNOWN');
    const other = app.area.acknowledge(profile, 'phone', { epoch: 'x', offset: 1n });
    await rejectsWith(other, Code.FAILED_PRECONDITION, 'CURSOR_UNKNOWN');
    await rejectsWith(acknowledge(1n, 'unheard'), Code.NOT_FOUND, 'DEVICE_NOT_FOUND');
  });

  it('keeps acknowledged places over a reopening of the store', async () => {
    await using dir = await createTempDir();
    const stores = await openEmbeddedStores(dir.path);
    const area = createNotifications(notificationDeps(stores));
    const { nextCursor } = await area.sync(phone, undefined, 10);
    await publishMany(area, 4);
    await area.acknowledge(profile, 'phone', { ...nextCursor, offset: 3n });
    await area.close();
    await stores.close();
    const reopened = await openEmbeddedStores(dir.path);
    const after = createNotifications(notificationDeps(reopened));
    const page = await after.sync(phone, undefined, 10);
    assert.deepEqual(
      page.notifications.map(({ offset }) => offset),
      [4n],
    );
    await after.close();
    await reopened.close();
  });

  it('refuses devices beyond the bound of a profile, and forgets those unseen for 90 days', async () => {
    await using dir = await createTempDir();
    const startMs = Date.UTC(2026, 0, 1);
    const open = async (days: number) => {
      const stores = await openEmbeddedStores(dir.path, createFakeClock(startMs + days * 86_400_000));
      const area = createNotifications({ ...notificationDeps(stores), maxDevicesPerProfile: 2 });
      return { stores, sync: (name: string) => area.sync(deviceNamed(name), undefined, 1) };
    };
    const before = await open(0);
    for (const name of ['a', 'b', 'a']) await before.sync(name);
    await rejectsWith(before.sync('c'), Code.RESOURCE_EXHAUSTED, 'TOO_MANY_DEVICES');
    await before.stores.close();
    const after = await open(90);
    assert.equal((await after.sync('c')).more, false);
    await after.stores.close();
  });

  it('refuses a device without id, with a bad profile, category or capability', async () => {
    await using app = await openNotifications();
    const faults = { device: '', profile: 'nope', category: 'living room', capabilities: ['ok', ''] };
    const error = await rejectsWith(app.area.sync(faults, undefined, 1), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    const fields = ['device.device', 'device.profile', 'device.category', 'device.capabilities[1]'];
    assert.deepEqual(
      error.fields.map(({ field }) => field),
      fields,
    );
  });
});
