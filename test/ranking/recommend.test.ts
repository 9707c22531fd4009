import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { type Logger, silentLogger } from '../../server/core/log.ts';
import type { Ranking } from '../../server/ranking/ranking.ts';
import type { Page } from '../../server/ranking/serving/page.ts';
import type { Scorer } from '../../server/ranking/serving/recommend.ts';
import type { RecordsStore } from '../../server/stores/records/records-store.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { openRankingStores, pageRequest, type RankingStores } from './fixtures/ranking-fixture.ts';

function idsOf(page: Page, row = 0): string[] {
  return page.rows[row]?.titles.map(({ title }) => title.id) ?? [];
}

/** Never answers; remembers that it was told to stop. */
function stuckScorer(): Scorer & { readonly aborted: () => boolean } {
  let signal: AbortSignal | undefined;
  const scorer: Scorer = (_model, _taste, given) => {
    signal = given;
    return new Promise(() => {});
  };
  return Object.assign(scorer, { aborted: () => signal?.aborted ?? false });
}

describe('recommendations', () => {
  let stores: RankingStores;
  let ranking: Ranking;
  let modelId: string;

  before(async () => {
    stores = await openRankingStores();
    ranking = await stores.open();
    ({ modelId } = await stores.train(await stores.importMovielens(ranking)));
    await ranking.publishModel(modelId);
  });
  after(() => stores[Symbol.asyncDispose]());

  describe('within a deadline', () => {
    const clock = createFakeClock();
    const play = (id: string, profile: string) => ({ id, profile, title: '260', timeMs: clock.now() });

    it('come from the list of the last event when scoring is late, exactly when the budget ends', async () => {
      const scorer = stuckScorer();
      const slow = await stores.open({ clock, scorer });
      await slow.onPlayEvent(play('l1', 'late-1'));
      await clock.advance(7_000);
      const running = slow.recommend(pageRequest('late-1', { budgetMs: 50, rowCount: 3 }));
      const answers: Page[] = [];
      void running.then((answer) => answers.push(answer));
      await clock.advance(39);
      assert.equal(answers.length, 0);
      assert.ok(!scorer.aborted());
      await clock.advance(1);
      const [page] = answers;
      assert.ok(page, 'answers at 40 of 50 ms');
      assert.ok(scorer.aborted());
      assert.equal(page.tier, 'nearline');
      assert.equal(page.modelId, modelId);
      assert.deepEqual(page.skipped, ['ONLINE: DEADLINE']);
      assert.equal(page.ageMs, 7_040);
      assert.equal(page.eventsApplied, 1);
      assert.equal(page.rows[0]?.id, 'top-picks');
      assert.ok(!idsOf(page).includes('260'));
      assert.equal(slow.counters.snapshot().deadline_missed, 1);
    });

    it('come from the precomputed list for a profile without events', async () => {
      const slow = await stores.open({ clock, scorer: stuckScorer() });
      const running = slow.recommend(pageRequest('1', { budgetMs: 50 }));
      await clock.advance(40);
      const page = await running;
      assert.equal(page.tier, 'offline');
      assert.deepEqual(page.skipped, ['ONLINE: DEADLINE', 'NEARLINE: NO_LIST']);
      assert.deepEqual(idsOf(page), idsOf(await ranking.recommend(pageRequest('1'))), 'same model, same list');
    });

    it('come from popularity for a profile without any list', async () => {
      const slow = await stores.open({ clock, scorer: stuckScorer() });
      const page = await slow.recommend(pageRequest('nobody', { budgetMs: 0 }));
      assert.equal(page.tier, 'popularity');
      assert.deepEqual(page.skipped, ['ONLINE: DEADLINE', 'NEARLINE: NO_LIST', 'OFFLINE: NO_LIST']);
      assert.equal(page.rows[0]?.id, 'popular');
      assert.equal(page.modelId, '');
    });

    it('take the next rung when a rung fails, and log it once', async () => {
      const lines: unknown[] = [];
      const log: Logger = { ...silentLogger, warn: (message, fields) => void lines.push([message, fields]) };
      const failing: RecordsStore = {
        ...stores.records,
        get: async (partition, key) => {
          if (partition === 'ranking/profiles') {
            throw new AppError({ code: Code.UNAVAILABLE, reason: 'DISK_FAILED', message: 'the disk is gone' });
          }
          return stores.records.get(partition, key);
        },
      };
      const broken = await stores.open({ log, records: failing });
      const page = await broken.recommend(pageRequest('1'));
      assert.equal(page.tier, 'offline');
      assert.deepEqual(page.skipped, ['ONLINE: FAILED', 'NEARLINE: NO_LIST']);
      assert.deepEqual(lines, [['ranking rung failed', { tier: 'online', profile: '1', error: 'the disk is gone' }]]);
    });

    it('do not fail late, when the abandoned scorer rejects', async () => {
      const { promise, reject } = Promise.withResolvers<Float32Array>();
      const lines: string[] = [];
      const log: Logger = { ...silentLogger, debug: (message) => void lines.push(message) };
      const slow = await stores.open({ clock, log, scorer: () => promise });
      const running = slow.recommend(pageRequest('1', { budgetMs: 50 }));
      await clock.advance(40);
      assert.equal((await running).tier, 'offline');
      reject(new Error('too late'));
      await clock.advance(0);
      assert.deepEqual(lines, ['late ranking ended']);
    });

    it('stop adding rows when the time is up', async () => {
      let elapsed = 0;
      const steady = { ...clock, monotonic: () => elapsed };
      const slow = await stores.open({
        clock: steady,
        scorer: (model) => {
          elapsed += 1_000;
          return Float32Array.from(model.ranker.titles.ids, (_, at) => -at);
        },
      });
      const page = await slow.recommend(pageRequest('1', { budgetMs: 500, rowCount: 10 }));
      assert.equal(page.tier, 'online');
      assert.equal(page.rows.length, 1);
    });
  });

  it('say how old they are: fresh ones are not, popular ones as old as the model', async () => {
    assert.equal((await ranking.recommend(pageRequest('1'))).ageMs, 0);
    const clock = createFakeClock(Date.now() + 3_600_000);
    const later = await stores.open({ clock });
    const { ageMs } = await later.recommend(pageRequest('nobody'));
    assert.ok(ageMs >= 3_600_000 && ageMs < 3_700_000, `${ageMs} ms`);
  });

  it('leave out what the profile has rated or played, and what the caller excludes', async () => {
    const [first = ''] = idsOf(await ranking.recommend(pageRequest('1')));
    const page = await ranking.recommend(pageRequest('1', { exclude: new Set([first, 'unknown']), pageSize: 100 }));
    const model = ranking.published.current();
    assert.ok(model);
    const rated = new Set(model.history('1').map(({ title }) => model.ranker.titles.ids[title]));
    assert.equal(rated.size, 232);
    assert.ok(idsOf(page).every((id) => !rated.has(id) && id !== first));
    assert.equal(idsOf(page).length, 100);
  });

  it('keep to one genre where one is asked for, on every rung', async () => {
    const slow = await stores.open({ scorer: stuckScorer() });
    await slow.onPlayEvent({ id: 'g', profile: 'genre-1', title: '1', timeMs: 1 });
    const pages = [
      await ranking.recommend(pageRequest('1', { genre: 'Horror', rowCount: 4 })),
      await slow.recommend(pageRequest('genre-1', { genre: 'Animation', budgetMs: 0 })),
      await slow.recommend(pageRequest('1', { genre: 'Sci-Fi', budgetMs: 0 })),
      await ranking.recommend(pageRequest('nobody', { genre: 'War' })),
    ];
    assert.deepEqual(
      pages.map(({ tier }) => tier),
      ['online', 'nearline', 'offline', 'popularity'],
    );
    for (const [at, genre] of ['Horror', 'Animation', 'Sci-Fi', 'War'].entries()) {
      const titles = pages[at]?.rows.flatMap((row) => row.titles) ?? [];
      assert.ok(titles.length > 0 && titles.every(({ title }) => title.genres.includes(genre)), genre);
    }
  });

  it('pass on to the next rung when nothing of a stored list is left', async () => {
    const slow = await stores.open({ scorer: stuckScorer() });
    const page = await slow.recommend(pageRequest('1', { genre: 'No such genre', budgetMs: 0 }));
    assert.equal(page.tier, 'popularity');
    assert.deepEqual(page.skipped, ['ONLINE: DEADLINE', 'NEARLINE: NO_LIST', 'OFFLINE: EXHAUSTED']);
    assert.deepEqual(page.rows, []);
  });

  it('build a page of rows in which a title stands once', async () => {
    for (const title of ['1', '260', '1196', '2571']) {
      await ranking.onPlayEvent({ id: `page-${title}`, profile: 'page-1', title, timeMs: Number(title) });
      await ranking.onPlayEvent({
        id: `trend-${title}`,
        profile: `trend-${title}`,
        title: String(Number(title) + 1),
        timeMs: 1,
      });
    }
    const page = await ranking.recommend(pageRequest('page-1', { rowCount: 12, pageSize: 10 }));
    const ids = page.rows.map(({ id }) => id);
    assert.equal(ids[0], 'top-picks');
    assert.equal(ids[1], 'because:titles/2571');
    assert.ok(
      ids.includes('popular') && ids.includes('genre:Sci-Fi') && ids.includes('because:titles/1196'),
      ids.join(),
    );
    assert.equal(page.rows[1]?.name, 'Because you watched Matrix, The (1999)');
    const all = page.rows.flatMap((row) => row.titles.map(({ title }) => title.id));
    assert.equal(new Set(all).size, all.length);
    assert.ok(page.rows.every((row) => row.titles.length >= 4 && row.titles.length <= 10));
    const genre = page.rows.find(({ id }) => id === 'genre:Sci-Fi');
    assert.ok(genre?.titles.every(({ title }) => title.genres.includes('Sci-Fi')));
  });

  it('give a cold profile popular titles first, then genres', async () => {
    const page = await ranking.recommend(pageRequest('nobody', { rowCount: 6, pageSize: 8 }));
    assert.deepEqual(page.skipped, ['ONLINE: NO_EVENTS', 'NEARLINE: NO_LIST', 'OFFLINE: NO_LIST']);
    assert.equal(page.rows.length, 6);
    assert.equal(page.rows[0]?.id, 'popular');
    assert.ok(page.rows.slice(2).every(({ id }) => id.startsWith('genre:')));
  });

  it('rank by score, and explain each by the liked titles that contribute most', async () => {
    const page = await ranking.recommend(pageRequest('1', { explain: true, rowCount: 3 }));
    const titles = page.rows[0]?.titles ?? [];
    assert.deepEqual(
      titles.map(({ baseRank }) => baseRank),
      titles.map((_, at) => at + 1),
    );
    assert.deepEqual(
      titles.map(({ score }) => score),
      titles.map(({ score }) => score).toSorted((a, b) => b - a),
    );
    for (const { because, score } of titles) {
      assert.ok(because.length > 0 && because.length <= 3);
      const amounts = because.map(({ amount }) => amount);
      assert.deepEqual(
        amounts,
        amounts.toSorted((a, b) => b - a),
      );
      assert.ok(amounts.every((amount) => amount > 0 && amount < score * 2));
    }
    const because = page.rows.find(({ id }) => id.startsWith('because:'));
    assert.ok(because?.titles.every((entry) => `because:titles/${entry.because[0]?.title.id}` === because.id));
    const plain = await ranking.recommend(pageRequest('1'));
    assert.ok(plain.rows[0]?.titles.every((entry) => entry.because.length === 0));
  });

  describe('without a model', () => {
    it('are refused as long as nothing at all is known', async () => {
      await using empty = await openRankingStores();
      const bare = await empty.open();
      await rejectsWith(bare.recommend(pageRequest('1')), Code.UNAVAILABLE, 'NO_RATINGS');
    });

    it('come from what is played, and from the newest data set once there is one, also after a restart', async () => {
      await using own = await openRankingStores();
      const bare = await own.open();
      await bare.onPlayEvent({ id: 'a', profile: 'p', title: '318', timeMs: 1 });
      const played = await bare.recommend(pageRequest('someone'));
      assert.deepEqual([played.tier, played.rows[0]?.id, idsOf(played)], ['popularity', 'trending', ['318']]);
      await own.importMovielens(bare);
      for (const ranker of [bare, await own.open()]) {
        const page = await ranker.recommend(pageRequest('someone', { rowCount: 2, genre: 'Crime', pageSize: 5 }));
        assert.equal(page.rows[0]?.id, 'popular');
        assert.ok(page.rows[0]?.titles.every(({ title }) => title.genres.includes('Crime')));
        assert.deepEqual(page.skipped, ['ONLINE: NO_MODEL', 'NEARLINE: NO_MODEL', 'OFFLINE: NO_MODEL']);
      }
      const excluded = await bare.recommend(pageRequest('p', { exclude: new Set(['296']) }));
      assert.ok(!idsOf(excluded).includes('318') && !idsOf(excluded).includes('296'));
    });
  });
});
