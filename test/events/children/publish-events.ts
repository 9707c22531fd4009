/** Publishes events for ever and prints each id once it was accepted; killed by event-durability.test.ts. Arguments: folder, round. */
import { createEvents } from '../../../server/events/create-events.ts';
import { openEmbeddedStores } from '../../support/embedded-stores.ts';
import { eventDeps } from '../open-events.ts';

const [path = '', round = ''] = process.argv.slice(2);
const stores = await openEmbeddedStores(path);
const events = createEvents(eventDeps(stores));
events.onEvent({
  name: 'slow',
  kinds: ['play.started'],
  handle: ({ eventId }) => {
    process.stdout.write(`handled ${eventId}\n`);
    return new Promise((resolve) => setTimeout(resolve, 2));
  },
});
await events.start();
const publishForEver = async (producer: number) => {
  for (let count = 0; ; count++) {
    const eventId = `${round}-${producer}-${count}`;
    await events.publish({ eventId, kind: 'play.started', profile: `profiles/${producer}` });
    process.stdout.write(`accepted ${eventId}\n`);
  }
};
await Promise.all([1, 2, 3, 4].map(publishForEver));
