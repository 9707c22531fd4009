import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Code } from '../../server/core/codes.ts';
import { encodeJson } from '../../server/ranking/data/json.ts';
import { parseRatingsCsv, parseTitlesCsv } from '../../server/ranking/data/movielens-csv.ts';
import { createContentFactors } from '../../server/ranking/models/content-factors.ts';
import type { ServingModel } from '../../server/ranking/models/serving-model.ts';
import { type PlayEvent, type ProfileEvent, readGenres } from '../../server/ranking/nearline/play-event.ts';
import { tasteOf } from '../../server/ranking/nearline/taste.ts';
import type { Ranking } from '../../server/ranking/ranking.ts';
import type { Page } from '../../server/ranking/serving/page.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { movielensFiles } from './fixtures/movielens.ts';
import { openRankingStores, pageRequest, type RankingStores } from './fixtures/ranking-fixture.ts';
import { shareOfGenres } from './fixtures/share-of-genres.ts';

const family = ['Animation', 'Children', 'Comedy'];

function bunny(profile: string, options: Partial<PlayEvent> = {}): PlayEvent {
  const timeMs = Date.UTC(2026, 0, 2);
  return { id: `${profile}-bunny`, profile, title: 'titles/big-buck-bunny', timeMs, watchedFraction: 0.97, ...options };
}

/** A liked title as a profile keeps it. */
function kept(title: string, genres?: readonly string[]): ProfileEvent {
  return { id: title, title, timeMs: 1, positive: true, ...(genres === undefined ? {} : { genres }) };
}

function top(page: Page) {
  return page.rows[0]?.titles ?? [];
}

function idsOf(page: Page): string[] {
  return top(page).map(({ title }) => title.id);
}

function shareOfFamily(page: Page): number {
  return shareOfGenres(
    top(page).map(({ title }) => title.genres),
    family,
  );
}

describe('a liked title that the model does not know', () => {
  let stores: RankingStores;
  let ranking: Ranking;
  let model: ServingModel;

  before(async () => {
    stores = await openRankingStores();
    ranking = await stores.open();
    // The full size: genres are blurred with fewer factors.
    const params = { ...(await stores.importMovielens(ranking)), factors: 64, sweeps: 16 };
    await ranking.publishModel((await stores.train(params)).modelId);
    const current = ranking.published.current();
    assert.ok(current);
    model = current;
  });
  after(() => stores[Symbol.asyncDispose]());

  /** Likes two dramas: The Shawshank Redemption and Schindler's List. */
  const likeDramas = async (profile: string) => {
    for (const title of ['318', '527']) {
      await ranking.onPlayEvent({ id: `${profile}-${title}`, profile, title, timeMs: 1_000, rating: 5 });
    }
  };

  it('moves the very next page of a light profile towards its genres', async () => {
    await likeDramas('light');
    const before = await ranking.recommend(pageRequest('light'));
    await ranking.onPlayEvent(bunny('light', { genres: family }));
    const after = await ranking.recommend(pageRequest('light'));
    assert.notDeepEqual(idsOf(after), idsOf(before));
    assert.ok(
      shareOfFamily(after) > shareOfFamily(before) * 1.5,
      `${shareOfFamily(before)} -> ${shareOfFamily(after)}`,
    );
    assert.deepEqual([before.eventsApplied, after.eventsApplied], [2, 3]);
  });

  it('makes a page of its own for a profile of which nothing else is known', async () => {
    await ranking.onPlayEvent(bunny('only', { genres: family }));
    const page = await ranking.recommend(pageRequest('only'));
    assert.equal(page.tier, 'online');
    const cold = await ranking.recommend(pageRequest('nobody'));
    assert.ok(shareOfFamily(page) > shareOfFamily(cold) * 1.5, `${shareOfFamily(cold)} -> ${shareOfFamily(page)}`);
  });

  it('explains scores by its id and genres, in parts that sum to the score', async () => {
    await likeDramas('why');
    await ranking.onPlayEvent(bunny('why', { genres: family }));
    const page = await ranking.recommend(pageRequest('why', { explain: true, pageSize: 50 }));
    const causes = top(page).flatMap(({ because }) => because.map(({ title }) => title));
    const bunnies = causes.filter(({ id }) => id === 'big-buck-bunny');
    assert.ok(bunnies.length > 0);
    assert.deepEqual(bunnies[0], { id: 'big-buck-bunny', name: 'big-buck-bunny', genres: family });
    const moved = top(page).filter(({ because }) => because[0]?.title.id === 'big-buck-bunny');
    assert.ok(moved.length > 0 && moved.every(({ title }) => family.some((genre) => title.genres.includes(genre))));

    const events = [kept('318'), kept('bunny', family), kept('527')];
    const { positives, content } = tasteOf(model, 'nobody', events);
    const vector = model.folder.fold(positives, content);
    assert.ok(vector);
    const scores = model.folder.scores(vector);
    const titles = [0, 500, 2_000];
    for (const [at, parts] of model.folder.contributions(positives, titles, content).entries()) {
      assert.equal(parts.length, 3);
      const sum = parts.reduce((total, part) => total + part, 0);
      assert.ok(Math.abs(sum - (scores[titles[at] ?? 0] ?? 0)) < 1e-5);
    }
  });

  it('has a because-you-watched row of titles like it', async () => {
    await likeDramas('row');
    await ranking.onPlayEvent(bunny('row', { genres: family }));
    const page = await ranking.recommend(pageRequest('row', { rowCount: 3, explain: true }));
    const row = page.rows[1];
    assert.deepEqual([row?.id, row?.name], ['because:titles/big-buck-bunny', 'Because you watched big-buck-bunny']);
    assert.ok(shareOfGenres(row?.titles.map(({ title }) => title.genres) ?? [], family) > 0.5);
    assert.ok(row?.titles.every(({ because }) => because[0]?.title.id === 'big-buck-bunny'));
  });

  it('changes nothing without genres, or with genres that the model does not know', async () => {
    await likeDramas('silent');
    const before = await ranking.recommend(pageRequest('silent', { rowCount: 5 }));
    const applied = await ranking.onPlayEvent(bunny('silent'));
    await ranking.onPlayEvent(bunny('silent', { id: 'other-genres', genres: ['Anime', 'animation'] }));
    assert.deepEqual(applied, { duplicate: false, events: 3 });
    assert.deepEqual(await ranking.recommend(pageRequest('silent', { rowCount: 5 })), before);
  });

  it('ignores single unknown genre names', () => {
    assert.equal(model.contentFactors(['Comedy', 'Anime', 'Children', 'Animation']), model.contentFactors(family));
    assert.equal(model.contentFactors([]), undefined);
  });

  it('counts by its newest sign, and keeps the genres it once had', () => {
    const positivesOf = (...events: ProfileEvent[]) => {
      const taste = tasteOf(model, 'nobody', events);
      return [taste.positives.length, taste.eventsApplied];
    };
    const liked = kept('bunny', family);
    const disliked = { ...liked, positive: false };
    assert.deepEqual(positivesOf(liked, liked), [1, 2], 'liked twice is one like');
    assert.deepEqual(positivesOf(liked, kept('bunny')), [1, 2], 'a later event needs no genres');
    assert.deepEqual(positivesOf(liked, disliked), [0, 2]);
    assert.deepEqual(positivesOf(disliked), [0, 0], 'a dislike alone says nothing');
    assert.deepEqual(positivesOf(kept('bunny')), [0, 0]);
  });

  it('is one of at most 256, those liked last', () => {
    const events = Array.from({ length: 300 }, (_, at) => kept(`new-${at}`, family));
    const { positives, content, contentTitles } = tasteOf(model, 'nobody', [kept('318'), ...events, kept('527')]);
    assert.equal(content.length, 256);
    assert.deepEqual([contentTitles[0]?.id, contentTitles.at(-1)?.id], ['new-44', 'new-299']);
    const titles = model.ranker.titles;
    assert.deepEqual(positives[0], titles.indexOf('318'));
    assert.deepEqual(
      positives.slice(1, -1),
      Array.from(content, (_, at) => titles.ids.length + at),
    );
    assert.deepEqual(positives.at(-1), titles.indexOf('527'));
    assert.ok(model.folder.fold(positives, content)?.every(Number.isFinite));
  });

  it('survives a restart with its genres, beside events from before genres were kept', async () => {
    const old = { events: [{ id: 'old', title: '318', timeMs: 1, positive: true }] };
    await stores.records.put('ranking/profiles', 'old', encodeJson(old));
    await ranking.onPlayEvent(bunny('old', { genres: family }));
    const restarted = await stores.open();
    const page = await restarted.recommend(pageRequest('old', { explain: true }));
    assert.equal(page.eventsApplied, 2);
    const causes = top(page).flatMap(({ because }) => because.map(({ title }) => title.id));
    assert.deepEqual(new Set(causes), new Set(['318', 'big-buck-bunny']));
  });

  it('is a seen title like others once a model knows it', async () => {
    await using own = await openRankingStores();
    const area = await own.open();
    const importing = area.datasets.openImport();
    const { rows } = parseTitlesCsv(readFileSync(movielensFiles.titles, 'utf8'));
    for (const title of rows) importing.addTitle(title);
    importing.addTitle({ id: 'big-buck-bunny', name: 'Big Buck Bunny', genres: family });
    for (const rating of parseRatingsCsv(readFileSync(movielensFiles.ratings, 'utf8')).rows)
      importing.addRating(rating);
    for (let profile = 1; profile <= 200; profile++) {
      importing.addRating({ profile: String(profile), title: 'big-buck-bunny', value: 5, timeMs: 1.5e12 });
    }
    const { dataset } = await importing.finish();
    const old = await own.train(await own.importMovielens(area));
    await area.publishModel(old.modelId);
    await area.onPlayEvent(bunny('later', { genres: family }));
    const params = { datasetKey: dataset.objectKey, titlesKey: dataset.titlesObjectKey, factors: 16, sweeps: 6 };
    await area.publishModel((await own.train(params)).modelId);
    assert.ok(idsOf(await area.recommend(pageRequest('someone'))).includes('big-buck-bunny'), 'known to the model');
    const page = await area.recommend(pageRequest('later', { explain: true, pageSize: 100 }));
    assert.ok(!idsOf(page).includes('big-buck-bunny'));
    assert.equal(top(page)[0]?.because[0]?.title.name, 'Big Buck Bunny');
  });

  it('is refused with malformed genres, which are named', async () => {
    const faulty = [
      'Comedy',
      7,
      null,
      { a: 1 },
      ['Comedy', 7],
      [''],
      ['x'.repeat(65)],
      Array.from({ length: 17 }, String),
    ];
    for (const genres of faulty) {
      const error = await rejectsWith(
        Promise.resolve().then(() => readGenres(genres)),
        Code.INVALID_ARGUMENT,
        'INVALID_FIELDS',
      );
      assert.deepEqual(
        error.fields.map(({ field }) => field),
        ['data.genres'],
      );
    }
    assert.deepEqual(readGenres(Array.from({ length: 16 }, () => 'x'.repeat(64))).length, 16);
    assert.deepEqual(readGenres([]), []);
    const error = await rejectsWith(
      ranking.onPlayEvent(bunny('faulty', { genres: [''], rating: 9 })),
      Code.INVALID_ARGUMENT,
      'INVALID_FIELDS',
    );
    assert.deepEqual(
      error.fields.map(({ field }) => field),
      ['rating', 'data.genres'],
    );
  });

  it('has its vector kept per set of genres, within a bound', () => {
    let evicted = 0;
    const genres = Array.from({ length: 11 }, (_, at) => `g${at}`);
    const factorsOf = createContentFactors(
      {
        ...model.ranker,
        catalogue: model.ranker.catalogue.map((title, at) => ({ ...title, genres: [genres[at % 11] ?? ''] })),
      },
      () => {
        evicted += 1;
      },
    );
    const first = factorsOf(['g1', 'g0']);
    assert.equal(factorsOf(['g0', 'g1', 'g0']), first);
    // 2^11 - 1 sets, nearly half of them too many; the first is used again and again, the second is not.
    const second = factorsOf(['g10']);
    for (let set = 1; set < 2 ** 11; set++) {
      factorsOf(genres.filter((_, at) => (set >> at) % 2 === 1));
      assert.equal(factorsOf(['g0', 'g1']), first);
    }
    assert.equal(evicted, 2 ** 11 - 1 - 1_024);
    assert.notEqual(factorsOf(['g10']), second);
  });
});
