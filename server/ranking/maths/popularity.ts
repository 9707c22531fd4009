import type { RatingsTable } from '../data/ratings-table.ts';

/** Half-life that ranks best on MovieLens, in ms: three years. */
const popularityHalfLifeMs = 3 * 365.25 * 86_400_000;

/** Which ratings count, and for how long. */
export interface PopularityOptions {
  /** Only ratings of at least this count; default 0 = all. */
  readonly least?: number;
  /** Weight halves over this time, in ms; Infinity = plain counts. Default three years. */
  readonly halfLifeMs?: number;
}

/** Decayed count per title, sum of 2^(-age / half-life), ages measured from the newest rating of the table. */
export function popularityOf(table: RatingsTable, options: PopularityOptions = {}): Float64Array {
  const { least = 0, halfLifeMs = popularityHalfLifeMs } = options;
  const newest = table.timeMs.reduce((most, time) => Math.max(most, time), 0);
  const popularity = new Float64Array(table.titles.ids.length);
  for (let row = 0; row < table.value.length; row++) {
    if ((table.value[row] ?? 0) < least) continue;
    const title = table.title[row] ?? 0;
    popularity[title] = (popularity[title] ?? 0) + 2 ** (((table.timeMs[row] ?? 0) - newest) / halfLifeMs);
  }
  return popularity;
}
