import { topK } from '../maths/top-k.ts';
import type { ServingModel } from '../models/serving-model.ts';
import type { Taste } from '../nearline/taste.ts';
import type { Trending } from '../nearline/trending.ts';
import { likedTitleOf } from './fill-rows.ts';
import { type RowPlan, type RowSource, rankedSource } from './row-source.ts';

/** Because-you-watched rows on one page, at most. */
const mostBecauseRows = 3;
/** A title needs this much likeness to stand in a because-you-watched row. */
const leastSimilarity = 0.2;

/**
 * Rows of a page in order: the personal ranking, then because-you-watched for the titles liked last, alternating with
 * the profile's genres, with trending and popular after the first of each. Lazily: a row that is not reached costs
 * nothing.
 */
export function* planRows(
  model: ServingModel,
  trending: Trending,
  personal: RowSource,
  taste: Taste,
): Iterable<RowPlan> {
  yield { id: 'top-picks', name: 'Top picks for you', source: personal, isPersonal: true };
  const because = taste.positives.slice(-mostBecauseRows).reverse();
  const genres = genresOf(model, taste);
  for (let round = 0; round < Math.max(because.length, genres.length, 1); round++) {
    const watched = because[round];
    if (watched !== undefined) yield becauseRow(model, taste, watched);
    if (round === 0) {
      yield trendingRow(model, trending);
      yield popularRow(model);
    }
    const genre = genres[round];
    if (genre !== undefined) yield genreRow(model, genre, personal, true);
  }
}

/** Rows for a profile of which nothing is known: popular first, then trending and genres by popularity. */
export function* planColdRows(model: ServingModel, trending: Trending): Iterable<RowPlan> {
  yield popularRow(model);
  yield trendingRow(model, trending);
  const popular = popularSource(model);
  for (const genre of model.genres) yield genreRow(model, genre, popular, false);
}

/** A source over fresh scores: the exact top of the whole catalogue. */
export function scoredSource(scores: Float32Array): RowSource {
  return (count, accepts) =>
    Array.from(topK(scores, count, accepts), (title, at) => ({ title, score: scores[title] ?? 0, baseRank: at + 1 }));
}

function popularSource(model: ServingModel): RowSource {
  return rankedSource(model.popular, (_, title) => model.ranker.popularity[title]);
}

function popularRow(model: ServingModel): RowPlan {
  return { id: 'popular', name: 'Popular', source: popularSource(model), isPersonal: false };
}

function trendingRow(model: ServingModel, trending: Trending): RowPlan {
  const source: RowSource = (count, accepts) => {
    const known = trending.top().flatMap(({ title, score }) => {
      const index = model.ranker.titles.indexOf(title);
      return index === undefined ? [] : [{ index, score }];
    });
    const titles = known.map(({ index }) => index);
    return rankedSource(titles, (place) => known[place]?.score)(count, accepts);
  };
  return { id: 'trending', name: 'Trending now', source, isPersonal: false };
}

function genreRow(model: ServingModel, genre: string, source: RowSource, isPersonal: boolean): RowPlan {
  return {
    id: `genre:${genre}`,
    name: genre,
    source: (count, accepts) => source(count, (title) => model.hasGenre(title, genre) && accepts(title)),
    isPersonal,
  };
}

function becauseRow(model: ServingModel, taste: Taste, watched: number): RowPlan {
  const { id, name } = likedTitleOf(model, taste, watched);
  const content = taste.content[watched - model.ranker.titles.ids.length];
  const source: RowSource = (count, accepts) => {
    const picks = scoredSource(model.folder.similarities(content ?? watched))(
      count,
      (title) => title !== watched && accepts(title),
    );
    return picks.filter(({ score }) => score >= leastSimilarity);
  };
  return {
    id: `because:titles/${id}`,
    name: `Because you watched ${name}`,
    source,
    isPersonal: false,
    becauseOf: watched,
  };
}

/** Genres of the liked titles, the most liked first. */
function genresOf(model: ServingModel, taste: Taste): string[] {
  const counts = new Map<string, number>();
  for (const title of taste.positives) {
    for (const genre of likedTitleOf(model, taste, title).genres) counts.set(genre, (counts.get(genre) ?? 0) + 1);
  }
  const place = new Map(model.genres.map((genre, at) => [genre, at]));
  return [...counts]
    .sort(([a, x], [b, y]) => y - x || (place.get(a) ?? 0) - (place.get(b) ?? 0))
    .map(([genre]) => genre);
}
