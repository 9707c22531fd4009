import type { RatingsTable } from '../data/ratings-table.ts';
import { leastPositive } from '../data/sparse-rows.ts';
import type { Title } from '../data/title.ts';
import { popularityOf } from '../maths/popularity.ts';
import { topK } from '../maths/top-k.ts';

/** A title and how popular it is; `score` compares within one list only. */
export interface PopularTitle {
  readonly id: string;
  readonly name: string;
  readonly genres: readonly string[];
  readonly score: number;
}

/** The most popular titles of a data set, best first: what is recommended before any model is published. */
export function popularTitles(table: RatingsTable, titles: readonly Title[], count = 500): PopularTitle[] {
  const popularity = popularityOf(table, { least: leastPositive });
  const byId = new Map(titles.map((title) => [title.id, title]));
  return Array.from(topK(popularity, count), (index) => {
    const id = table.titles.ids[index] ?? '';
    const { name, genres } = byId.get(id) ?? { name: id, genres: [] };
    return { id, name, genres, score: popularity[index] ?? 0 };
  }).filter(({ score }) => score > 0);
}
