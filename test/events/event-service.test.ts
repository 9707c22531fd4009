import assert from 'node:assert/strict';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  EventService,
  PublishOutcome,
  WatchEventsRequestSchema,
} from '../../proto/gen/showrunner/events/v1/event_service_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { createRpcClient } from '../../server/rpc/client.ts';
import { frameOf, openRawCall } from '../rpc/fixtures/raw-call.ts';
import { countReads } from '../support/count-reads.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { startServices } from '../support/start-services.ts';
import { waitUntil } from '../support/wait-until.ts';
import { openEvents } from './open-events.ts';

async function startEventService(options = {}) {
  const area = await openEvents(options);
  const server = await startServices(area.events.service);
  const client = createRpcClient(EventService, { address: server.address });
  return {
    ...area,
    server,
    client,
    [Symbol.asyncDispose]: async () => {
      client.close();
      await area.events.close();
      await server.close();
      await area[Symbol.asyncDispose]();
    },
  };
}

describe('EventService over a socket', () => {
  it('publishes, repeats, refuses and lists', async () => {
    await using app = await startEventService();
    const event = { eventId: 'a', kind: 'play.stopped', profile: 'profiles/7', data: { fraction: 0.25 } };
    const first = await app.client.publishEvent({ event });
    assert.equal(first.outcome, PublishOutcome.ACCEPTED);
    assert.equal(first.event?.offset, 1n);
    assert.deepEqual(first.event.data, { fraction: 0.25 });
    assert.equal((await app.client.publishEvent({ event })).outcome, PublishOutcome.DUPLICATE);
    const other = { ...event, data: { fraction: 1 } };
    await rejectsWith(app.client.publishEvent({ event: other }), Code.FAILED_PRECONDITION, 'EVENT_ID_REUSED');
    const occurredTime = timestampFromMs(app.clock.now() - 8 * 86_400_000);
    const old = await app.client.publishEvent({ event: { ...event, eventId: 'old', occurredTime } });
    assert.equal(old.outcome, PublishOutcome.TOO_OLD);
    assert.equal(old.event, undefined);
    const page = await app.client.listEvents({});
    assert.deepEqual(page.events, [first.event]);
    assert.deepEqual([page.nextOffset, page.end], [1n, true]);
  });

  it('refuses requests without an event, with bad times, pages and filters', async () => {
    await using app = await startEventService();
    const occurredTime = { seconds: 10n ** 15n, nanos: 0 };
    const faults: [Promise<unknown>, string][] = [
      [app.client.publishEvent({}), 'event'],
      [app.client.publishEvent({ event: { kind: 'diagnostic', occurredTime } }), 'event.occurred_time'],
      [app.client.listEvents({ pageSize: -1 }), 'page_size'],
      [app.client.listEvents({ kinds: ['diagnostic', 'nope'] }), 'kinds[1]'],
      [app.client.listEvents({ profile: 'nope' }), 'profile'],
      [app.client.watchEvents({ kinds: ['nope'] }).next(), 'kinds[0]'],
      [app.client.watchEvents({ afterOffset: 99n }).next(), 'after_offset'],
    ];
    for (const [call, field] of faults) {
      const error = await rejectsWith(call, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.deepEqual(
        error.fields.map((fault) => fault.field),
        [field],
      );
    }
  });

  it('answers a stream of events in the order of the requests', async () => {
    await using app = await startEventService();
    async function* requests() {
      for (let n = 1; n <= 200; n++) yield { event: { eventId: `e${n % 150}`, kind: 'diagnostic' } };
    }
    const answers = await Array.fromAsync(app.client.publishEvents(requests()));
    assert.deepEqual(
      answers.map(({ event }) => event?.eventId),
      Array.from({ length: 200 }, (_, n) => `e${(n + 1) % 150}`),
    );
    assert.equal(answers.filter(({ outcome }) => outcome === PublishOutcome.DUPLICATE).length, 50);
  });

  it('pages through a filtered log by offset, also where the filter lets nothing through', async () => {
    await using app = await startEventService();
    for (let n = 1; n <= 30; n++) {
      const event = {
        eventId: `e${n}`,
        kind: n % 3 === 0 ? 'play.started' : 'diagnostic',
        profile: `profiles/${n % 2}`,
      };
      await app.client.publishEvent({ event });
    }
    const offsets: bigint[] = [];
    let afterOffset = 0n;
    for (let isEnd = false; !isEnd; ) {
      const page = await app.client.listEvents({
        afterOffset,
        pageSize: 2,
        kinds: ['play.started'],
        profile: 'profiles/1',
      });
      assert.ok(page.events.length <= 2);
      offsets.push(...page.events.map(({ offset }) => offset));
      afterOffset = page.nextOffset;
      isEnd = page.end;
    }
    assert.deepEqual(offsets, [3n, 9n, 15n, 21n, 27n]);
    assert.equal(afterOffset, 30n);
  });

  it('refuses a place beyond the end, from where a reader would miss what comes', async () => {
    await using app = await startEventService();
    await app.client.publishEvent({ event: { kind: 'diagnostic' } });
    assert.equal((await app.client.listEvents({ afterOffset: 1n })).end, true);
    for (const afterOffset of [2n, 2n ** 64n - 1n]) {
      for (const asked of [app.client.listEvents({ afterOffset }), app.client.watchEvents({ afterOffset }).next()]) {
        const { message } = await rejectsWith(asked, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
        assert.match(message, /^after_offset: .* newest offset 1$/);
      }
    }
  });

  it('watches new events only, or those after an offset, and goes on live without a gap', async () => {
    await using app = await startEventService();
    const publish = (n: number) => app.client.publishEvent({ event: { eventId: `e${n}`, kind: 'diagnostic' } });
    for (let n = 1; n <= 5; n++) await publish(n);
    const replaying = app.client.watchEvents({ afterOffset: 2n });
    const live = app.client.watchEvents({});
    const firstLive = live.next();
    await waitUntil('both watch', () => app.server.stats().callsInFlight === 2);
    const take = async (count: number) => {
      const offsets: (bigint | undefined)[] = [];
      while (offsets.length < count) offsets.push((await replaying.next()).value?.event?.offset);
      return offsets;
    };
    const seen = take(203);
    // The live one begins wherever the log is when its call arrives, which is before the rest is published.
    await waitUntil('the live one waits', async () => app.server.stats().callsInFlight === 2);
    for (let n = 6; n <= 205; n++) await publish(n);
    assert.deepEqual(
      await seen,
      Array.from({ length: 203 }, (_, n) => BigInt(n + 3)),
    );
    assert.ok(((await firstLive).value?.event?.offset ?? 0n) >= 6n);
    await replaying.return?.();
    await live.return?.();
    await waitUntil('both left', () => app.server.stats().callsInFlight === 0);
  });

  it('tells a watcher whose offset is no longer kept', async () => {
    await using app = await startEventService({ maxEvents: 3 });
    for (let n = 1; n <= 10; n++) await app.client.publishEvent({ event: { kind: 'diagnostic' } });
    await rejectsWith(app.client.watchEvents({ afterOffset: 6n }).next(), Code.OUT_OF_RANGE, 'OFFSET_EXPIRED');
    const { value } = await app.client.watchEvents({ afterOffset: 7n }).next();
    assert.equal(value?.event?.offset, 8n);
  });

  it('lets other calls go first while it looks through a log of which it wants nothing', async () => {
    await using app = await startEventService();
    for (let thousand = 0; thousand < 3; thousand++) {
      await Promise.all(Array.from({ length: 1_000 }, () => app.events.publish({ kind: 'diagnostic' })));
    }
    const reads = countReads(app.stores.log);
    const filter = { kinds: ['play.started'], profile: '' };
    const leave = new AbortController();
    const watching = app.events.reader.watch(1n, filter, leave.signal).next();
    watching.catch(() => {});
    const listing = app.events.reader.list(1n, 10, filter);
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(reads.entries <= 500, `${reads.entries} entries read in one turn`);
    assert.deepEqual(await listing, { events: [], nextOffset: 3_000n, end: true });
    leave.abort();
    await assert.rejects(watching);
  });

  it('refuses watchers beyond the bound and ends the others when it closes', async () => {
    await using app = await startEventService({ maxWatchers: 1 });
    const first = app.client.watchEvents({}).next();
    await waitUntil('the first watches', () => app.server.stats().callsInFlight === 1);
    await rejectsWith(app.client.watchEvents({}).next(), Code.RESOURCE_EXHAUSTED, 'TOO_MANY_WATCHERS');
    await app.events.close();
    await rejectsWith(first, Code.UNAVAILABLE, 'EVENTS_CLOSING');
  });

  it('reads little of the log for a watcher that takes nothing, and gives it all when it goes on', async () => {
    await using app = await startEventService();
    const data = { text: 'x'.repeat(4_000) };
    await Promise.all(
      Array.from({ length: 1_000 }, (_, n) => app.events.publish({ eventId: `e${n}`, kind: 'diagnostic', data })),
    );
    const read = countReads(app.stores.log);
    await using raw = openRawCall(app.server.address, '/showrunner.events.v1.EventService/WatchEvents');
    raw.stream.pause();
    raw.stream.end(frameOf(WatchEventsRequestSchema, { afterOffset: 1n }));
    await waitUntil('it began to read', () => read.entries > 0);
    let looks = 0;
    let last = read.entries;
    await waitUntil('it stopped reading', () => {
      looks = last === read.entries ? looks + 1 : 0;
      last = read.entries;
      return looks > 50;
    });
    assert.ok(read.entries < 400, `read ${read.entries} of 999 entries for a reader that takes none`);
    let bytes = 0;
    raw.stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    raw.stream.resume();
    await waitUntil('all arrived', () => read.entries === 999 && bytes > 999 * 4_000);
    assert.equal(read.entries, 999, 'each was read once');
  });
});
