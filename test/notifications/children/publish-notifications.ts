/** Publishes notifications for ever and prints each id once it was stored; killed by notification-durability.test.ts. */
import { createNotifications } from '../../../server/notifications/create-notifications.ts';
import { openEmbeddedStores } from '../../support/embedded-stores.ts';
import { deviceNamed, notificationDeps, profile } from '../open-notifications.ts';

const [path = '', round = ''] = process.argv.slice(2);
const stores = await openEmbeddedStores(path);
const area = createNotifications(notificationDeps(stores));
const { nextCursor } = await area.sync(deviceNamed('tv'), undefined, 1);

async function publishForEver(publisher: number): Promise<void> {
  for (let count = 0; ; count++) {
    const notificationId = `${round}-${publisher}-${count}`;
    const { notification } = await area.publish({ notificationId, profile, kind: 'k' });
    process.stdout.write(`stored ${notificationId}\n`);
    if (publisher !== 1 || count % 20 !== 0) continue;
    const { offset } = await area.acknowledge(profile, 'tv', { ...nextCursor, offset: notification.offset });
    process.stdout.write(`acknowledged ${offset}\n`);
  }
}
await Promise.all([1, 2, 3, 4].map(publishForEver));
