import assert from 'node:assert/strict';
import { invalidField } from '../../server/core/errors.ts';
import { createEvents } from '../../server/events/create-events.ts';
import { waitUntil } from '../support/wait-until.ts';
import { eventDeps, openEvents, recordingRule } from './open-events.ts';

const ids = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => `e${from + index}`);

describe('event rules', () => {
  it('sees every event of its kinds in order, and no others', async () => {
    const rule = recordingRule('plays', ['play.started', 'play.stopped']);
    await using area = await openEvents({}, [rule]);
    await area.events.start();
    const published = ids(1, 250);
    await Promise.all(published.map((eventId) => area.events.publish({ eventId, kind: 'play.started' })));
    await area.events.publish({ eventId: 'other', kind: 'diagnostic' });
    await waitUntil('all were seen', () => rule.seen.length === 250);
    assert.deepEqual(rule.seen, published);
  });

  it('lets a publish wait for inline rules, so that the producer reads its own write', async () => {
    const inline = { ...recordingRule('inline', ['diagnostic']), inline: true };
    await using area = await openEvents({}, [inline]);
    await area.events.start();
    for (const eventId of ids(1, 20)) {
      await area.events.publish({ eventId, kind: 'diagnostic' });
      assert.equal(inline.seen.at(-1), eventId);
    }
  });

  it('does not hold a publish longer than the inline wait or the deadline', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const slow = { ...recordingRule('slow', ['diagnostic'], () => promise), inline: true };
    await using area = await openEvents({}, [slow]);
    await area.events.start();
    const publish = (deadline?: number) => {
      let isDone = false;
      const published = area.events
        .publish({ kind: 'diagnostic' }, deadline === undefined ? {} : { deadline })
        .finally(() => {
          isDone = true;
        });
      return { published, isDone: () => isDone };
    };
    const late = publish();
    await waitUntil('the rule runs', () => slow.seen.length === 1);
    await area.clock.advance(499);
    assert.equal(late.isDone(), false);
    await area.clock.advance(1);
    assert.equal((await late.published).outcome, 'accepted');
    const soon = publish(area.clock.now() + 100);
    await waitUntil('it was stored', async () => (await area.stores.log.position('events')).newest === 2n);
    await waitUntil('it waits', async () => {
      await area.clock.advance(80);
      return soon.isDone();
    });
    assert.equal(area.events.counters.snapshot().inline_late, 2);
    resolve();
  });

  it('tries a failing rule again and goes on when it succeeds', async () => {
    let failures = 2;
    const rule = recordingRule('flaky', ['play.started'], async () => {
      if (failures-- > 0) throw new Error('not yet');
    });
    await using area = await openEvents({}, [rule]);
    await area.events.start();
    await area.events.publish({ eventId: 'a', kind: 'play.started' });
    await area.events.publish({ eventId: 'b', kind: 'play.started' });
    await waitUntil('both were handled', async () => {
      await area.clock.advance(100);
      return rule.seen.length === 4;
    });
    assert.deepEqual(rule.seen, ['a', 'a', 'a', 'b']);
    assert.deepEqual(await area.events.deadLetters.list(), []);
  });

  it('gives up after the last attempt, keeps the event as a dead letter and moves on', async () => {
    const rule = recordingRule('broken', ['play.started'], async ({ eventId }) => {
      if (eventId === 'bad') throw new Error('no such shelf');
    });
    await using area = await openEvents({ maxAttempts: 3 }, [rule]);
    await area.events.start();
    for (const eventId of ['bad', 'good']) await area.events.publish({ eventId, kind: 'play.started' });
    await waitUntil('the good one was handled', async () => {
      await area.clock.advance(100);
      return rule.seen.includes('good');
    });
    assert.deepEqual(rule.seen, ['bad', 'bad', 'bad', 'good']);
    const [letter, ...others] = await area.events.deadLetters.list();
    assert.deepEqual(others, []);
    assert.equal(letter?.event.eventId, 'bad');
    assert.equal(letter?.event.offset, 1n);
    assert.deepEqual([letter?.rule, letter?.error, letter?.attempts], ['broken', 'no such shelf', 3]);
    assert.equal(area.events.counters.snapshot().dead_letters, 1);
  });

  it('gives up at once on an event that the rule refuses for good', async () => {
    const rule = recordingRule('strict', ['play.started'], async ({ eventId }) => {
      if (eventId === 'bad') throw invalidField('data.genres', 'expected names');
    });
    await using area = await openEvents({}, [rule]);
    await area.events.start();
    for (const eventId of ['bad', 'good']) await area.events.publish({ eventId, kind: 'play.started' });
    // The clock stands still: a pause before another try would never end.
    await waitUntil('the good one was handled', () => rule.seen.includes('good'));
    assert.deepEqual(rule.seen, ['bad', 'good']);
    const [letter] = await area.events.deadLetters.list();
    assert.deepEqual([letter?.event.eventId, letter?.attempts], ['bad', 1]);
    assert.match(letter?.error ?? '', /data\.genres/);
    assert.equal(area.events.counters.snapshot().rule_retries, 0);
  });

  it('leaves a handler behind that outlasts its time and ignores its signal', async () => {
    const rule = recordingRule('stuck', ['play.started'], () => new Promise(() => {}));
    await using area = await openEvents({ maxAttempts: 1, handlerTimeoutMs: 1_000 }, [rule]);
    await area.events.start();
    await area.events.publish({ eventId: 'a', kind: 'play.started' });
    await waitUntil('it was given up', async () => {
      await area.clock.advance(1_000);
      return (await area.events.deadLetters.list()).length === 1;
    });
    assert.equal(area.events.counters.snapshot().rule_timeouts, 1);
  });

  it('does not let a failing rule hold up another', async () => {
    const broken = recordingRule('broken', ['play.started'], async () => {
      throw new Error('always');
    });
    const healthy = recordingRule('healthy', ['play.started']);
    await using area = await openEvents({}, [broken, healthy]);
    await area.events.start();
    for (const eventId of ids(1, 5)) await area.events.publish({ eventId, kind: 'play.started' });
    await waitUntil('the healthy one saw all', () => healthy.seen.length === 5);
    assert.deepEqual(healthy.seen, ids(1, 5));
  });

  it('resumes where it was after a crash between the append and the rule', async () => {
    const before = recordingRule('shelf', ['title.available']);
    await using area = await openEvents({}, [before]);
    await area.events.start();
    await area.events.publish({ eventId: 'seen', kind: 'title.available' });
    await waitUntil('the first was seen', () => before.seen.length === 1);
    await area.events.close();

    // Appended while no rule ran, as if the process had died right after the append.
    const appending = createEvents(eventDeps(area.stores));
    await appending.publish({ eventId: 'missed', kind: 'title.available' });
    await appending.close();

    const after = recordingRule('shelf', ['title.available']);
    const fresh = recordingRule('new-rule', ['title.available']);
    const restarted = createEvents(eventDeps(area.stores));
    restarted.onEvent(after);
    restarted.onEvent(fresh);
    await restarted.start();
    await waitUntil('the missed one was seen', () => after.seen.length === 1);
    await restarted.publish({ eventId: 'later', kind: 'title.available' });
    await waitUntil('the later one was seen', () => after.seen.length === 2 && fresh.seen.length === 1);
    assert.deepEqual(after.seen, ['missed', 'later']);
    assert.deepEqual(fresh.seen, ['later'], 'a rule that was never seen starts at the newest event');
    await restarted.close();
  });

  it('does an event again whose rule was interrupted by the close', async () => {
    const stuck = recordingRule('once', ['play.started'], () => new Promise(() => {}));
    await using area = await openEvents({}, [stuck]);
    await area.events.start();
    await area.events.publish({ eventId: 'a', kind: 'play.started' });
    await waitUntil('the rule runs', () => stuck.seen.length === 1);
    await area.events.close();
    const again = recordingRule('once', ['play.started']);
    const restarted = createEvents(eventDeps(area.stores));
    restarted.onEvent(again);
    await restarted.start();
    await waitUntil('it was done', () => again.seen.length === 1);
    await restarted.close();
  });

  it('counts events that left the log before it saw them', async () => {
    const rule = recordingRule('late', ['diagnostic']);
    await using area = await openEvents({ maxEvents: 5 }, [rule]);
    await area.events.start();
    await area.events.close();
    const appending = createEvents({ ...eventDeps(area.stores), maxEvents: 5 });
    for (const eventId of ids(1, 12)) await appending.publish({ eventId, kind: 'diagnostic' });
    await appending.close();
    const restarted = createEvents({ ...eventDeps(area.stores), maxEvents: 5 });
    const again = recordingRule('late', ['diagnostic']);
    restarted.onEvent(again);
    await restarted.start();
    await waitUntil('the rest was seen', () => again.seen.length === 5);
    assert.deepEqual(again.seen, ids(8, 12));
    assert.equal(restarted.counters.snapshot().rule_events_lost, 7);
    await restarted.close();
  });

  it('goes on where all that it had not seen is too old to be kept', async () => {
    const options = { retentionMs: 10_000 };
    await using area = await openEvents(options, [recordingRule('late', ['diagnostic'])]);
    await area.events.start();
    await area.events.close();
    const appending = createEvents({ ...eventDeps(area.stores), ...options });
    for (const eventId of ids(1, 3)) await appending.publish({ eventId, kind: 'diagnostic' });
    await appending.close();
    await area.clock.advance(options.retentionMs);
    const restarted = createEvents({ ...eventDeps(area.stores), ...options });
    const again = recordingRule('late', ['diagnostic']);
    restarted.onEvent(again);
    await restarted.start();
    await restarted.publish({ eventId: 'next', kind: 'diagnostic' });
    await waitUntil('the next was seen', () => again.seen.length > 0);
    assert.deepEqual(again.seen, ['next']);
    assert.equal(restarted.counters.snapshot().rule_events_lost, 3);
    await restarted.close();
  });

  it('refuses a rule with a taken name, an unknown kind, or after the start', async () => {
    await using area = await openEvents({}, [recordingRule('a', ['diagnostic'])]);
    assert.throws(() => area.events.onEvent(recordingRule('a', ['diagnostic'])), /exists already/);
    assert.throws(() => area.events.onEvent(recordingRule('b', ['nope'])), /unknown kind nope/);
    await area.events.start();
    assert.throws(() => area.events.onEvent(recordingRule('c', ['diagnostic'])), /before the start/);
  });
});
