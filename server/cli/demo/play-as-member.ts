import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { RecommendResponse } from '../../../proto/gen/showrunner/ranking/v1/ranking_service_pb.ts';
import type { DemoClients } from './demo-clients.ts';
import { type OnlineDevice, openDevice } from './member-devices.ts';
import { demoTitle } from './transcode-title.ts';

/** A real member of the MovieLens data, with 21 ratings: few enough for one more play to show. */
export const demoProfile = 'profiles/87';

const tv = { device: 'devices/demo-tv', profile: demoProfile, category: 'tv' };
const phone = { device: 'devices/demo-phone', profile: demoProfile, category: 'phone' };

/** Asks for the member's page with explanations. */
async function recommend({ ranking }: DemoClients): Promise<RecommendResponse> {
  return await ranking.recommend({
    profile: demoProfile,
    pageSize: 8,
    rowCount: 3,
    explain: true,
    budget: durationFromMs(50),
  });
}

/** Where the demo's title plays best for the member's session. */
export async function findPlayback({ manifest }: DemoClients) {
  const { sources, encodeSet } = await manifest.getPlayback({ title: demoTitle.name, session: 'demo-session' });
  const source = sources[0];
  if (!source || !encodeSet) throw new Error('no source can play the title');
  return {
    value: source,
    outcome: `${sources.length} source(s), best ${source.appliance}: ${source.reasons?.explanation}`,
  };
}

/** The member's devices: a television that is online, and a phone that the service knows but that is off. */
export async function openDevices(clients: DemoClients) {
  // Known to the service, then gone: its cursor stands at the head of the profile's log.
  await clients.notifications.sync({ device: phone });
  const television = await openDevice(clients, tv);
  return { value: television, outcome: `${tv.device} online, ${phone.device} off, both of ${demoProfile}` };
}

/** Waits until the television heard that the title can be played. */
export async function awaitTitleAvailable(television: OnlineDevice) {
  const { subject, traceparent } = await television.nextPush('title.available');
  return { value: undefined, outcome: `${subject} pushed to the TV (traceparent ${traceparent.slice(3, 11)}…)` };
}

/** The member watches the title on the television: event → nearline re-rank → push there, pull by the phone. */
export async function playAsMember(clients: DemoClients, television: OnlineDevice) {
  const { events, notifications } = clients;
  const before = await recommend(clients);
  const playedAt = performance.now();
  await events.publishEvent({
    event: {
      eventId: `demo-play-${Date.now()}`,
      kind: 'play.stopped',
      profile: demoProfile,
      subject: demoTitle.name,
      device: tv.device,
      data: { fraction: 0.97, genres: demoTitle.genres },
    },
  });
  const publishMs = performance.now() - playedAt;
  const after = await recommend(clients);
  await television.nextPush('rows.refreshed');
  const pushMs = performance.now() - playedAt;
  const pulled = await notifications.sync({ device: phone });
  const kinds = pulled.notifications.map(({ kind }) => kind);
  if (!kinds.includes('rows.refreshed')) throw new Error(`the phone pulled ${kinds.join(', ') || 'nothing'}`);
  const cursor = pulled.nextCursor;
  if (!cursor) throw new Error('the phone got no cursor');
  await notifications.ack({ device: phone.device, profile: demoProfile, cursor });
  return {
    value: { before, after },
    outcome: `event and re-rank ${publishMs.toFixed(0)} ms, push on the TV after ${pushMs.toFixed(0)} ms, phone pulled ${kinds.join(' and ')}`,
  };
}

/** Keeps the member's page in the cache and reads it back with a bulk get. */
export async function cachePage({ cache }: DemoClients, page: RecommendResponse) {
  const namespace = 'pages';
  const key = demoProfile.replace('/', ':');
  const value = Buffer.from(JSON.stringify(page.rows.flatMap((row) => row.recommendations.map((r) => r.title?.title))));
  await cache.set({ namespace, key, value, ttl: durationFromMs(60_000) });
  const bulk = await cache.getBulk({ namespace, keys: [key, 'profiles:unknown'] });
  const { touched } = await cache.touch({ namespace, key, ttl: durationFromMs(120_000) });
  const { item } = await cache.get({ namespace, key });
  if (!item || Buffer.compare(item.value, value) !== 0 || !touched) throw new Error('the cache lost the page');
  const { deleted } = await cache.delete({ namespace, key });
  return {
    value: undefined,
    outcome: `${value.length} bytes set, ${bulk.items.length} hit and ${bulk.missingKeys.length} miss in bulk, touched, deleted ${deleted}`,
  };
}
