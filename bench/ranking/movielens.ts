import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseRatingsCsv } from '../../server/ranking/data/movielens-csv.ts';
import { createRatingsTableBuilder, type RatingsTable } from '../../server/ranking/data/ratings-table.ts';

/** ml-latest-small in the repository. */
export const movielensFolder = join(import.meta.dirname, '../../data/ml-latest-small');

/** Its ratings as a table. */
export function readMovielens(): RatingsTable {
  const builder = createRatingsTableBuilder();
  for (const row of parseRatingsCsv(readFileSync(join(movielensFolder, 'ratings.csv'), 'utf8')).rows) builder.add(row);
  return builder.finish();
}
