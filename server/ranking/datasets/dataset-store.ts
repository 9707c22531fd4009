import { readFile } from 'node:fs/promises';
import type { Clock } from '../../core/clock.ts';
import { invalidField } from '../../core/errors.ts';
import type { ObjectStore } from '../../stores/objects/object-store.ts';
import type { RecordsStore } from '../../stores/records/records-store.ts';
import { contentId, encodeRatings, encodeTitles } from '../data/dataset-file.ts';
import { compareIds } from '../data/id-index.ts';
import { decodeJson, encodeJson } from '../data/json.ts';
import { type LineFault, parseRatingsCsv, parseTitlesCsv } from '../data/movielens-csv.ts';
import { createRatingsTableBuilder, type RatingRow, type RatingsTable } from '../data/ratings-table.ts';
import type { Title } from '../data/title.ts';
import { datasetNotFound, datasetTooLarge } from '../errors.ts';
import { createTimedRecords } from '../timed-records.ts';
import { type PopularTitle, popularTitles } from './popular-titles.ts';

/** A stored data set, as its record tells. */
export type DatasetRecord = {
  /** Bare id, a digest of the content. */
  readonly id: string;
  readonly ratings: number;
  readonly profiles: number;
  readonly titles: number;
  /** Key of the ratings snapshot. */
  readonly objectKey: string;
  /** Key of the titles; empty when none were imported. */
  readonly titlesObjectKey: string;
  readonly createdMs: number;
};

/** An import in progress; nothing is stored before `finish`. */
export interface DatasetImport {
  /** Adds a rating that `ratingFault` found nothing wrong with. DATASET_TOO_LARGE over the bound. */
  addRating(row: RatingRow): void;
  /** Adds a title that `titleFault` found nothing wrong with; a title given again replaces the earlier one. */
  addTitle(title: Title): void;
  /** Stores the data set; INVALID_FIELDS without a rating. `existed`: the same content was stored before. */
  finish(): Promise<{ dataset: DatasetRecord; existed: boolean }>;
}

/** What importing files gave. */
export interface FileImport {
  readonly dataset: DatasetRecord;
  readonly existed: boolean;
  /** Lines that were left out, the first 100 of each file. */
  readonly faults: readonly (LineFault & { readonly file: 'ratings' | 'titles' })[];
  readonly faultCount: number;
}

/** Data sets by id and by time. */
export interface DatasetStore {
  openImport(): DatasetImport;
  /** Imports MovieLens files of this machine. Faulty lines are left out and told. */
  importFiles(paths: { readonly ratings: string; readonly titles?: string }): Promise<FileImport>;
  /** DATASET_NOT_FOUND when absent. */
  get(id: string): Promise<DatasetRecord>;
  list(limit: number, cursor?: string): Promise<{ items: DatasetRecord[]; next: string | undefined }>;
  /** The most popular titles of the newest data set, best first; undefined before the first import. */
  popular(): PopularList | undefined;
}

/** The most popular titles of a data set, best first, and when it was imported (Unix ms). */
export interface PopularList {
  readonly titles: readonly PopularTitle[];
  readonly createdMs: number;
}

/** Stores and bounds of the data sets. */
export interface DatasetStoreDeps {
  readonly records: RecordsStore;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  /** Default 32 million. */
  readonly maxRatings?: number;
}

const partition = 'ranking/datasets';
const popularPartition = 'ranking/popular';
const mostTitles = 1_000_000;

/** Data sets: snapshots in the object store, found through the records store. Content-addressed, so never changed. */
export async function openDatasetStore({
  records,
  objects,
  clock,
  maxRatings,
}: DatasetStoreDeps): Promise<DatasetStore> {
  const stored = createTimedRecords<DatasetRecord>(records, partition);
  const row = await records.get(popularPartition, 'newest');
  let popular = row && decodeJson<PopularList>(row.value);

  const openImport = (): DatasetImport => {
    const builder = createRatingsTableBuilder(maxRatings === undefined ? {} : { maxRows: maxRatings });
    const titles = new Map<string, Title>();
    return {
      addRating: builder.add,
      addTitle: (title) => {
        if (titles.size >= mostTitles && !titles.has(title.id)) throw datasetTooLarge('titles', mostTitles);
        titles.set(title.id, title);
      },
      finish: async () => {
        if (builder.rows === 0) throw invalidField('ratings', 'expected at least one rating');
        return store(
          builder.finish(),
          [...titles.values()].sort((a, b) => compareIds(a.id, b.id)),
        );
      },
    };
  };

  const store = async (table: RatingsTable, titles: Title[]) => {
    const ratings = encodeRatings(table);
    const catalogue = titles.length === 0 ? new Uint8Array() : encodeTitles(titles);
    const id = contentId(ratings, catalogue);
    const known = await stored.find(id);
    if (known !== undefined) return { dataset: known, existed: true };
    const dataset = {
      id,
      ratings: table.value.length,
      profiles: table.profiles.ids.length,
      titles: table.titles.ids.length,
      objectKey: `datasets/${id}/ratings.bin`,
      titlesObjectKey: titles.length === 0 ? '' : `datasets/${id}/titles.json`,
      createdMs: Math.floor(clock.now()),
    };
    await objects.put(dataset.objectKey, ratings, { contentType: 'application/octet-stream' });
    if (dataset.titlesObjectKey !== '') {
      await objects.put(dataset.titlesObjectKey, catalogue, { contentType: 'application/json' });
    }
    const titlesNow = { createdMs: dataset.createdMs, titles: popularTitles(table, titles) };
    await records.put(popularPartition, 'newest', encodeJson(titlesNow));
    popular = titlesNow;
    // The record makes the data set exist, so it comes last. Another import of the same content may have won.
    const added = await stored.add(id, dataset.createdMs, dataset);
    return { dataset: added ? dataset : ((await stored.find(id)) ?? dataset), existed: !added };
  };

  return {
    openImport,
    importFiles: async (paths) => {
      const ratings = parseRatingsCsv(await readFile(paths.ratings, 'utf8'));
      const titles = paths.titles === undefined ? undefined : parseTitlesCsv(await readFile(paths.titles, 'utf8'));
      const target = openImport();
      for (const row of ratings.rows) target.addRating(row);
      for (const title of titles?.rows ?? []) target.addTitle(title);
      return {
        ...(await target.finish()),
        faults: [
          ...ratings.faults.map((fault) => ({ ...fault, file: 'ratings' as const })),
          ...(titles?.faults ?? []).map((fault) => ({ ...fault, file: 'titles' as const })),
        ],
        faultCount: ratings.faultCount + (titles?.faultCount ?? 0),
      };
    },
    get: async (id) => {
      const found = await stored.find(id);
      if (found === undefined) throw datasetNotFound(`datasets/${id}`);
      return found;
    },
    list: stored.list,
    popular: () => popular,
  };
}
