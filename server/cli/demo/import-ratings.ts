import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { ImportDatasetRequestSchema } from '../../../proto/gen/showrunner/ranking/v1/ranking_service_pb.ts';
import { parseRatingsCsv, parseTitlesCsv } from '../../ranking/data/movielens-csv.ts';
import type { DemoClients } from './demo-clients.ts';

const batchSize = 5_000;

async function* batchesOf(folder: string): AsyncIterable<MessageInitShape<typeof ImportDatasetRequestSchema>> {
  const titles = parseTitlesCsv(await readFile(join(folder, 'movies.csv'), 'utf8')).rows;
  for (let start = 0; start < titles.length; start += batchSize) {
    const batch = titles.slice(start, start + batchSize);
    yield {
      titles: batch.map(({ id, name, genres }) => ({ title: `titles/${id}`, displayName: name, genres: [...genres] })),
    };
  }
  const ratings = parseRatingsCsv(await readFile(join(folder, 'ratings.csv'), 'utf8')).rows;
  for (let start = 0; start < ratings.length; start += batchSize) {
    const batch = ratings.slice(start, start + batchSize);
    yield {
      ratings: batch.map(({ profile, title, value, timeMs }) => ({
        profile: `profiles/${profile}`,
        title: `titles/${title}`,
        value,
        time: timestampFromMs(timeMs),
      })),
    };
  }
}

/** Streams the MovieLens files of a folder into the ranking service. */
export async function importRatings({ ranking }: DemoClients, folder: string) {
  const { dataset, existed } = await ranking.importDataset(batchesOf(folder));
  if (!dataset) throw new Error('the import gave no data set');
  const counts = `${dataset.ratingCount} ratings by ${dataset.profileCount} members of ${dataset.titleCount} titles`;
  return { value: dataset, outcome: `${counts}${existed ? ' (already there)' : ''}` };
}
