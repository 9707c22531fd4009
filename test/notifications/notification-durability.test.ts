import assert from 'node:assert/strict';
import { createNotifications } from '../../server/notifications/create-notifications.ts';
import { startChildScript } from '../support/child-script.ts';
import { openEmbeddedStores } from '../support/embedded-stores.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { deviceNamed, notificationDeps, profile } from './open-notifications.ts';

const script = new URL('./children/publish-notifications.ts', import.meta.url);

describe('notifications after kill -9', () => {
  it('keeps every stored one and every acknowledged place', async () => {
    await using dir = await createTempDir();
    const stored: string[] = [];
    let acknowledged = 0n;
    for (const round of ['r1', 'r2']) {
      const child = startChildScript(script, [dir.path, round]);
      await waitUntil('many were stored', () => child.lines.length > 400, 20_000);
      await child.kill();
      for (const [word, value = ''] of child.lines.map((line) => line.split(' '))) {
        if (word === 'stored') stored.push(value);
        else if (BigInt(value) > acknowledged) acknowledged = BigInt(value);
      }
    }
    const stores = await openEmbeddedStores(dir.path);
    const area = createNotifications(notificationDeps(stores));
    const [device] = await area.listDevices(profile, 10);
    assert.ok((device?.acknowledged.offset ?? 0n) >= acknowledged && acknowledged > 0n);
    const found: string[] = [];
    let cursor = { epoch: device?.acknowledged.epoch ?? '', offset: 0n };
    for (let more = true; more; ) {
      const page = await area.sync(deviceNamed('tv'), cursor, 500);
      found.push(...page.notifications.map(({ notificationId }) => notificationId));
      cursor = page.nextCursor;
      more = page.more;
    }
    await area.close();
    await stores.close();
    assert.deepEqual(
      stored.filter((id) => !found.includes(id)),
      [],
      'acknowledged publishes that are lost',
    );
    assert.equal(new Set(found).size, found.length, 'none is there twice');
    assert.equal(BigInt(found.length), cursor.offset, 'no gaps');
  });
});
