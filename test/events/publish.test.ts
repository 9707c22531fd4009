import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import type { NewEvent } from '../../server/events/event.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { openEvents } from './open-events.ts';

const play = {
  eventId: 'a',
  kind: 'play.stopped',
  profile: 'profiles/7',
  subject: 'titles/1',
  data: { fraction: 0.5 },
};
const all = { kinds: [], profile: '' };

describe('publishing an event', () => {
  it('stores it with its offset and gives it back when it is read', async () => {
    await using area = await openEvents();
    const first = await area.events.publish(play);
    const second = await area.events.publish({ ...play, eventId: 'b' });
    assert.equal(first.outcome, 'accepted');
    assert.equal(second.event?.offset, 2n);
    const page = await area.events.reader.list(0n, 10, all);
    assert.deepEqual(page.events, [first.event, second.event]);
    assert.deepEqual(page.events[0]?.data, { fraction: 0.5 });
    assert.equal(page.end, true);
  });

  it('gives an id to an event that has none', async () => {
    await using area = await openEvents();
    const { event: first } = await area.events.publish({ kind: 'diagnostic' });
    const { event: second } = await area.events.publish({ kind: 'diagnostic' });
    assert.match(first?.eventId ?? '', /^[0-9a-z]{22}$/);
    assert.notEqual(first?.eventId, second?.eventId);
  });

  it('answers a repeat with the event that was stored first', async () => {
    await using area = await openEvents();
    const first = await area.events.publish(play);
    await area.clock.advance(1_000);
    const { eventId, ...body } = play;
    // The order of keys is no difference.
    const again = await area.events.publish({ ...body, eventId });
    assert.equal(again.outcome, 'duplicate');
    assert.deepEqual(again.event, first.event);
    assert.equal((await area.events.reader.list(0n, 10, all)).events.length, 1);
  });

  it('stores one of many equal publishes that race', async () => {
    await using area = await openEvents();
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => area.events.publish(play)));
    assert.equal(outcomes.filter(({ outcome }) => outcome === 'accepted').length, 1);
    assert.deepEqual(new Set(outcomes.map(({ event }) => event?.offset)), new Set([1n]));
  });

  it('refuses an id that comes with another body, and takes it again after a day', async () => {
    await using area = await openEvents();
    await area.events.publish(play);
    for (const other of [{ data: { fraction: 0.6 } }, { subject: 'titles/2' }, { occurredMs: area.clock.now() }]) {
      await rejectsWith(area.events.publish({ ...play, ...other }), Code.FAILED_PRECONDITION, 'EVENT_ID_REUSED');
    }
    await area.clock.advance(24 * 3_600_000 + 1);
    assert.equal((await area.events.publish({ ...play, subject: 'titles/2' })).outcome, 'accepted');
  });

  it('refuses events older than their kind allows, counts them and stores nothing', async () => {
    await using area = await openEvents();
    const now = area.clock.now();
    const old = await area.events.publish({ ...play, kind: 'diagnostic', occurredMs: now - 15 * 60_000 - 1 });
    const justInTime = await area.events.publish({ kind: 'diagnostic', occurredMs: now - 15 * 60_000 });
    assert.deepEqual(old, { outcome: 'too_old' });
    assert.equal(justInTime.outcome, 'accepted');
    assert.equal(area.events.counters.snapshot().too_old, 1);
    assert.equal((await area.events.reader.list(0n, 10, all)).events.length, 1);
  });

  it('takes a time far in the future as now, and leaves a little skew alone', async () => {
    await using area = await openEvents();
    const now = area.clock.now();
    const far = await area.events.publish({ kind: 'play.started', occurredMs: now + 5 * 60_000 + 1 });
    const near = await area.events.publish({ kind: 'play.started', occurredMs: now + 5 * 60_000 });
    assert.equal(far.event?.occurredMs, now);
    assert.equal(near.event?.occurredMs, now + 5 * 60_000);
    assert.equal(area.events.counters.snapshot().clamped, 1);
  });

  it('refuses an unknown kind by its own reason', async () => {
    await using area = await openEvents();
    for (const kind of ['play.paused', 'constructor', '__proto__']) {
      await rejectsWith(area.events.publish({ kind }), Code.INVALID_ARGUMENT, 'EVENT_KIND_UNKNOWN');
    }
  });

  const faulty: [string, Partial<NewEvent>, string][] = [
    ['an empty kind', { kind: '' }, 'event.kind'],
    ['a profile of another form', { profile: '7' }, 'event.profile'],
    ['a profile with a slash in its id', { profile: 'profiles/a/b' }, 'event.profile'],
    ['a bare device', { device: 'tv' }, 'event.device'],
    ['an id of 129 characters', { eventId: 'x'.repeat(129) }, 'event.event_id'],
    ['an id with half a surrogate', { eventId: '\ud800' }, 'event.event_id'],
    ['a long subject', { subject: 'x'.repeat(257) }, 'event.subject'],
    ['data of over 4 KiB', { data: { text: 'x'.repeat(4_096) } }, 'event.data'],
    ['data of over 4 KiB in UTF-8', { data: { text: 'é'.repeat(2_043) } }, 'event.data'],
    ['data that JSON cannot hold', { data: { n: Number.NaN } }, 'event.data'],
    ['a fraction beyond 1', { data: { fraction: 1.01 } }, 'event.data.fraction'],
    ['a fraction as text', { kind: 'play.started', data: { fraction: '0.5' } }, 'event.data.fraction'],
    ['a rating without stars', { kind: 'title.rated', data: {} }, 'event.data.stars'],
    ['a rating of 11 stars', { kind: 'title.rated', data: { stars: 11 } }, 'event.data.stars'],
    ['genres that are no list', { data: { genres: 'Comedy' } }, 'event.data.genres'],
    ['genres that are no names', { data: { genres: ['Comedy', 7] } }, 'event.data.genres'],
    ['17 genres', { data: { genres: Array.from({ length: 17 }, String) } }, 'event.data.genres'],
    ['a genre of 65 characters', { data: { genres: ['x'.repeat(65)] } }, 'event.data.genres'],
  ];
  for (const [what, change, field] of faulty) {
    it(`refuses ${what} and names ${field}`, async () => {
      await using area = await openEvents();
      const error = await rejectsWith(
        area.events.publish({ ...play, ...change }),
        Code.INVALID_ARGUMENT,
        'INVALID_FIELDS',
      );
      assert.deepEqual(
        error.fields.map((fault) => fault.field),
        [field],
      );
    });
  }

  it('takes data of exactly 4 KiB', async () => {
    await using area = await openEvents();
    const empty = JSON.stringify({ text: '' }).length;
    const published = await area.events.publish({ ...play, data: { text: 'x'.repeat(4_096 - empty) } });
    assert.equal(published.outcome, 'accepted');
  });

  it('sheds what exceeds the bound of waiting publishes and takes the rest', async () => {
    await using area = await openEvents({ maxPendingPublishes: 4 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () => area.events.publish({ kind: 'diagnostic' })),
    );
    const shed = outcomes.filter((outcome) => outcome.status === 'rejected');
    assert.equal(shed.length, 6);
    for (const { reason } of shed) assert.equal(reason.reason, 'EVENTS_SHED');
    assert.equal((await area.events.publish({ kind: 'diagnostic' })).outcome, 'accepted');
  });

  it('refuses events once it is closing', async () => {
    await using area = await openEvents();
    await area.events.close();
    await rejectsWith(area.events.publish(play), Code.UNAVAILABLE, 'EVENTS_CLOSING');
  });
});
