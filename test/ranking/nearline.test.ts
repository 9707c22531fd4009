import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { createRankingCounters } from '../../server/ranking/counters.ts';
import { openNearline } from '../../server/ranking/nearline/nearline.ts';
import type { PlayEvent } from '../../server/ranking/nearline/play-event.ts';
import { openTrending } from '../../server/ranking/nearline/trending.ts';
import type { Ranking } from '../../server/ranking/ranking.ts';
import type { PageRow } from '../../server/ranking/serving/page.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { openRankingStores, pageRequest, type RankingStores } from './fixtures/ranking-fixture.ts';

const day = 86_400_000;

function play(id: string, profile: string, title: string, options: Partial<PlayEvent> = {}): PlayEvent {
  return { id, profile, title, timeMs: Date.UTC(2026, 0, 2), ...options };
}

function idsOf(row: PageRow | undefined): string[] {
  return row?.titles.map(({ title }) => title.id) ?? [];
}

describe('nearline updates', () => {
  let stores: RankingStores;
  let ranking: Ranking;

  before(async () => {
    stores = await openRankingStores();
    ranking = await stores.open();
    const { modelId } = await stores.train(await stores.importMovielens(ranking));
    await ranking.publishModel(modelId);
  });
  after(() => stores[Symbol.asyncDispose]());

  it('are in the very next answer, and the played title is not', async () => {
    const cold = await ranking.recommend(pageRequest('new-1'));
    assert.equal(cold.tier, 'popularity');
    // The Lord of the Rings: The Fellowship of the Ring.
    assert.deepEqual(await ranking.onPlayEvent(play('e1', 'profiles/new-1', 'titles/4993')), {
      duplicate: false,
      events: 1,
    });
    const page = await ranking.recommend(pageRequest('new-1', { explain: true }));
    assert.equal(page.tier, 'online');
    assert.equal(page.eventsApplied, 1);
    const ids = idsOf(page.rows[0]);
    assert.ok(!ids.includes('4993'));
    // The Two Towers and The Return of the King come up for who liked the first part.
    const popular = idsOf(cold.rows[0]);
    for (const sequel of ['5952', '7153']) {
      const place = ids.indexOf(sequel);
      assert.ok(place >= 0 && place < 10, `${sequel} at ${place}`);
      assert.ok(place < (popular.includes(sequel) ? popular.indexOf(sequel) : 20), `${sequel} is not merely popular`);
    }
    assert.equal(page.rows[0]?.titles[0]?.because[0]?.title.id, '4993');
  });

  it('take an event in once, however often it comes', async () => {
    const event = play('twice', 'new-2', '1');
    const results = await Promise.all([1, 2, 3, 4].map(() => ranking.onPlayEvent(event)));
    assert.deepEqual(
      results.map(({ duplicate }) => duplicate),
      [false, true, true, true],
    );
    assert.equal((await ranking.recommend(pageRequest('new-2'))).eventsApplied, 1);
  });

  it('lose none of the events of a profile that come at once, also over two servers', async () => {
    const other = await stores.open();
    const events = Array.from({ length: 12 }, (_, at) => play(`c${at}`, 'new-3', String(at + 1)));
    await Promise.all(events.map((event, at) => (at % 2 === 0 ? ranking : other).onPlayEvent(event)));
    assert.equal((await ranking.recommend(pageRequest('new-3'))).eventsApplied, 12);
    assert.equal((await other.recommend(pageRequest('new-3'))).eventsApplied, 12);
  });

  it('survive a restart', async () => {
    await ranking.onPlayEvent(play('r1', 'new-4', '260'));
    const restarted = await stores.open();
    const page = await restarted.recommend(pageRequest('new-4'));
    assert.equal(page.tier, 'online');
    assert.ok(!idsOf(page.rows[0]).includes('260'));
  });

  it('let the newest sign about a title count', async () => {
    const becauseOf = async () =>
      (await ranking.recommend(pageRequest('new-5', { explain: true }))).rows[0]?.titles[0]?.because.map(
        ({ title }) => title.id,
      );
    await ranking.onPlayEvent(play('s1', 'new-5', '1', { rating: 5, timeMs: 10 }));
    await ranking.onPlayEvent(play('s2', 'new-5', '260', { rating: 5, timeMs: 20 }));
    assert.deepEqual((await becauseOf())?.toSorted(), ['1', '260']);
    await ranking.onPlayEvent(play('s3', 'new-5', '1', { rating: 1, timeMs: 30 }));
    assert.deepEqual(await becauseOf(), ['260']);
    // An old event that arrives late does not win over a newer one.
    await ranking.onPlayEvent(play('s4', 'new-5', '260', { rating: 1, timeMs: 15 }));
    assert.deepEqual(await becauseOf(), ['260']);
  });

  it('count a title as liked from half watched on, and as seen in any case', async () => {
    await ranking.onPlayEvent(play('w1', 'new-6', '296', { watchedFraction: 0.1 }));
    const page = await ranking.recommend(pageRequest('new-6', { pageSize: 100 }));
    assert.equal(page.tier, 'popularity');
    assert.ok(!idsOf(page.rows[0]).includes('296'));
    await ranking.onPlayEvent(play('w2', 'new-6', '296', { watchedFraction: 0.5, timeMs: Date.UTC(2026, 0, 3) }));
    assert.equal((await ranking.recommend(pageRequest('new-6'))).tier, 'online');
  });

  it('keep titles that the model does not know: seen, but without a say', async () => {
    assert.equal((await ranking.onPlayEvent(play('u1', 'new-7', 'brand-new'))).events, 1);
    assert.equal((await ranking.recommend(pageRequest('new-7'))).tier, 'popularity');
  });

  it('refuse a faulty event and name its fields', async () => {
    const faulty = play('', '', 'x'.repeat(129), { timeMs: -1, rating: 6, watchedFraction: 2 });
    const error = await rejectsWith(ranking.onPlayEvent(faulty), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    assert.deepEqual(
      error.fields.map(({ field }) => field),
      ['id', 'profile', 'title', 'time', 'rating', 'watched_fraction'],
    );
  });

  it('keep the newest events of a profile and no more events under way than their bounds', async () => {
    const counters = createRankingCounters();
    const nearline = await openNearline({
      records: stores.records,
      clock: createFakeClock(),
      counters,
      currentModel: () => undefined,
      maxEvents: 3,
      maxPending: 4,
    });
    for (const at of [1, 2, 3, 4, 5]) await nearline.onPlayEvent(play(`b${at}`, 'bounded', String(at), { timeMs: at }));
    const { state } = await nearline.profiles.read('bounded');
    assert.deepEqual(
      state.events.map(({ title }) => title),
      ['3', '4', '5'],
    );
    assert.equal(counters.snapshot().events_forgotten, 2);
    const many = Array.from({ length: 6 }, (_, at) => nearline.onPlayEvent(play(`p${at}`, `p${at}`, '1')));
    const outcomes = await Promise.allSettled(many);
    assert.equal(outcomes.filter(({ status }) => status === 'rejected').length, 2);
    assert.equal(counters.snapshot().events_refused, 2);
    await rejectsWith(many[5] ?? Promise.resolve(), Code.RESOURCE_EXHAUSTED, 'NEARLINE_OVERLOADED');
  });

  it('count what is trending with decay, over restarts, within a bound', async () => {
    await using own = await openRankingStores();
    const clock = createFakeClock();
    const counters = createRankingCounters();
    const deps = { records: own.records, clock, counters, halfLifeMs: day, maxTitles: 10 };
    const trending = await openTrending(deps);
    const count = (title: string) => own.records.batch([trending.count(title)]);
    for (let plays = 0; plays < 4; plays++) await count('old-hit');
    await clock.advance(3 * day);
    await count('new');
    assert.deepEqual(
      trending.top().map(({ title, score }) => [title, score]),
      [
        ['new', 1],
        ['old-hit', 0.5],
      ],
    );
    const restarted = await openTrending(deps);
    assert.deepEqual(restarted.top(), trending.top());
    for (let at = 0; at < 10; at++) await count(`t${at}`);
    await clock.advance(3_000);
    assert.ok(trending.top().length <= 10);
    assert.ok(!trending.top().some(({ title }) => title === 'old-hit'));
    assert.ok(counters.snapshot().trending_evicted > 0);
  });
});
