/** Publishes one event by RPC, whose rule notifies two online devices; prints the spans of its process as JSON lines. */
import { shutdownTelemetry } from '../../../server/core/telemetry/preload.ts';
import { onFinishedSpan } from '../../../server/core/telemetry/span-feed.ts';
import { createTempDir } from '../../support/temp-dir.ts';

// Loaded after the hook of the preload, as in a real process.
const { EventService } = await import('../../../proto/gen/showrunner/events/v1/event_service_pb.ts');
const { createEvents } = await import('../../../server/events/create-events.ts');
const { createNotifications } = await import('../../../server/notifications/create-notifications.ts');
const { createRpcClient } = await import('../../../server/rpc/client.ts');
const { openEmbeddedStores } = await import('../../support/embedded-stores.ts');
const { startServices } = await import('../../support/start-services.ts');
const { eventDeps } = await import('../../events/open-events.ts');
const { deviceNamed, listen, notificationDeps, profile } = await import('../open-notifications.ts');

await using dir = await createTempDir();
const stores = await openEmbeddedStores(dir.path);
const notifications = createNotifications(notificationDeps(stores));
const events = createEvents(eventDeps(stores));
events.onEvent({
  name: 'refresh-rows',
  kinds: ['play.stopped'],
  inline: true,
  handle: async () => void (await notifications.publish({ profile, kind: 'rows.refreshed' })),
});
await events.start();
const server = await startServices(events.service);
const client = createRpcClient(EventService, { address: server.address });
const listeners = ['tv', 'phone'].map((name) => listen(notifications, deviceNamed(name)));
for (const listener of listeners) await listener.frame('hello');

onFinishedSpan((span) => process.stdout.write(`${JSON.stringify(span)}\n`));
const { event } = await client.publishEvent({ event: { kind: 'play.stopped', profile } });
for (const listener of listeners) {
  const { notification } = await listener.frame('notification');
  process.stdout.write(`${JSON.stringify({ traceparent: notification.traceparent, traceId: event?.traceId })}\n`);
}
client.close();
await notifications.close();
await events.close();
await server.close();
await stores.close();
await shutdownTelemetry();
