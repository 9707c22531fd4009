import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parseTitlesCsv } from '../../server/ranking/data/movielens-csv.ts';
import { selectRows } from '../../server/ranking/data/ratings-table.ts';
import { profilesByTitle, rowOf, titlesByProfile } from '../../server/ranking/data/sparse-rows.ts';
import { fmix32, splitByTime } from '../../server/ranking/data/split.ts';
import { addPrior, priorOf, priorWeight } from '../../server/ranking/maths/cold-prior.ts';
import { createFolder } from '../../server/ranking/maths/folder.ts';
import { trainIals } from '../../server/ranking/maths/ials.ts';
import { ndcgAt } from '../../server/ranking/maths/metrics.ts';
import { popularityOf } from '../../server/ranking/maths/popularity.ts';
import { topK } from '../../server/ranking/maths/top-k.ts';
import { createContentFactors } from '../../server/ranking/models/content-factors.ts';
import { defaultTrainSettings } from '../../server/ranking/models/train-settings.ts';
import { historyByTime } from '../../workers/train/history.ts';
import { freePacer, movielens, movielensFiles } from './fixtures/movielens.ts';
import { shareOfGenres } from './fixtures/share-of-genres.ts';

const turns = [1, 2, 3];

/** One value without the hidden likes and one with their content. */
type Pair = readonly [plain: number, withContent: number];

describe('content of hidden titles (5 % of MovieLens in turns, newest fifth of each profile held out)', () => {
  const table = movielens();
  const { train, test } = splitByTime(table);
  const rated = titlesByProfile(train);
  const liked = titlesByProfile(train, 4);
  const names = new Map(parseTitlesCsv(readFileSync(movielensFiles.titles, 'utf8')).rows.map((row) => [row.id, row]));
  const catalogue = table.titles.ids.map((id) => names.get(id) ?? { id, name: id, genres: [] });
  const genresOf = (title: number) => catalogue[title]?.genres ?? [];
  const rankers: Awaited<ReturnType<typeof trainWithout>>[] = [];

  before(async () => {
    for (const turn of turns) rankers.push(await trainWithout((title) => fmix32(title + 7919 * turn) % 20 === 0));
  });

  async function trainWithout(isHidden: (title: number) => boolean) {
    const visible = selectRows(train, (row) => !isHidden(train.title[row] ?? 0));
    const settings = defaultTrainSettings;
    const factors = await trainIals(titlesByProfile(visible, 4), profilesByTitle(visible, 4), settings, freePacer());
    const { titleFactors } = factors;
    const folder = createFolder(titleFactors, settings);
    const prior = priorOf(popularityOf(visible, { least: 4 }));
    const wanted = selectRows(test, (row) => !isHidden(test.title[row] ?? 0));
    const source = { titles: table.titles, catalogue, ...historyByTime(visible), titleFactors, settings };
    return {
      isHidden,
      wanted: titlesByProfile(wanted, 4),
      contentFactors: createContentFactors(source, () => {}),
      top20: (profile: number, positives: readonly number[], content: readonly Float32Array[]) => {
        const all = [...positives, ...content.map((_, at) => catalogue.length + at)];
        const vector = folder.fold(all, content);
        const scores = vector === undefined ? new Float32Array(catalogue.length) : folder.scores(vector);
        addPrior(scores, prior, priorWeight(all.length));
        const known = new Set(rowOf(rated, profile));
        return topK(scores, 20, (title) => !known.has(title) && !isHidden(title));
      },
    };
  }

  /** Over all turns and profiles with hidden likes; of what a profile liked, `most` visible and hidden titles count. */
  function compare(most: { visible: number; hidden: number }) {
    const ndcg: Pair[] = [];
    const share: Pair[] = [];
    for (const { isHidden, wanted, contentFactors, top20 } of rankers) {
      for (const profile of table.profiles.ids.keys()) {
        const likes = [...rowOf(liked, profile)];
        const positives = likes.filter((title) => !isHidden(title)).slice(0, most.visible);
        const hidden = likes.filter((title) => isHidden(title) && genresOf(title).length > 0).slice(0, most.hidden);
        const relevant = new Set(rowOf(wanted, profile));
        if (hidden.length === 0 || relevant.size === 0) continue;
        const content = hidden.map((title) => contentFactors(genresOf(title))).filter((it) => it !== undefined);
        const plain = top20(profile, positives, []);
        const blended = top20(profile, positives, content);
        const shareIn = (list: Uint32Array) =>
          mean(hidden.map((title) => shareOfGenres(Array.from(list, genresOf), genresOf(title))));
        ndcg.push([ndcgAt(10, plain, relevant), ndcgAt(10, blended, relevant)]);
        share.push([shareIn(plain), shareIn(blended)]);
      }
    }
    return { profiles: ndcg.length, ndcg: means(ndcg), share: means(share) };
  }

  it('does not hurt whole profiles, and moves their top 20 towards the genres of what they liked', () => {
    const { profiles, ndcg, share } = compare({ visible: 1e9, hidden: 1e9 });
    assert.ok(profiles > 1_000, `${profiles} profiles`);
    assert.ok(ndcg[1] >= ndcg[0] * 0.995, `NDCG@10 ${ndcg.join(' -> ')}`);
    assert.ok(share[1] >= share[0] + 0.005, `share of the genres ${share.join(' -> ')}`);
  });

  it('helps profiles of which little else is known', () => {
    const { ndcg, share } = compare({ visible: 3, hidden: 1 });
    assert.ok(ndcg[1] > ndcg[0] * 1.01, `NDCG@10 ${ndcg.join(' -> ')}`);
    assert.ok(share[1] >= share[0] + 0.03, `share of the genres ${share.join(' -> ')}`);
  });
});

function means(pairs: readonly Pair[]): Pair {
  return [mean(pairs.map(([plain]) => plain)), mean(pairs.map(([, withContent]) => withContent))];
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
