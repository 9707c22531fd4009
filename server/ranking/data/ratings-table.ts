import { datasetTooLarge } from '../errors.ts';
import { compareIds, createIdIndex, type IdIndex } from './id-index.ts';

/** Ratings as columns, one entry per row in the order of their source. */
export interface RatingsTable {
  readonly profiles: IdIndex;
  readonly titles: IdIndex;
  /** Index of the profile. */
  readonly profile: Uint32Array;
  /** Index of the title. */
  readonly title: Uint32Array;
  /** 0.5 to 5. */
  readonly value: Float32Array;
  /** Unix ms. */
  readonly timeMs: Float64Array;
}

/** One rating as it comes in. */
export interface RatingRow {
  readonly profile: string;
  readonly title: string;
  readonly value: number;
  readonly timeMs: number;
}

/** Collects rows into a table; memory grows with the rows. */
export interface RatingsTableBuilder {
  /**
   * Adds a row. A profile that rates a title again keeps the row's place with the value of the later time.
   * DATASET_TOO_LARGE over the bound.
   */
  add(row: RatingRow): void;
  /** Rows that replaced, or were replaced by, another rating of the same profile and title. */
  readonly replaced: number;
  readonly rows: number;
  finish(): RatingsTable;
}

/** Rows that a data set may hold unless told otherwise. */
const mostRatings = 32_000_000;

/** What is wrong with a rating, or undefined. */
export function ratingFault(row: RatingRow): string | undefined {
  if (row.profile === '' || row.profile.length > 128) return 'expected a profile id of 1 to 128 characters';
  if (row.title === '' || row.title.length > 128) return 'expected a title id of 1 to 128 characters';
  if (!(row.value >= 0.5 && row.value <= 5 && Number.isInteger(row.value * 2))) {
    return `expected a rating from 0.5 to 5 in steps of 0.5, got ${row.value}`;
  }
  if (!(row.timeMs >= 0 && row.timeMs <= 8.64e15)) return 'expected a time from 1970 on';
  return undefined;
}

/** Collects ratings that `ratingFault` found nothing wrong with. */
export function createRatingsTableBuilder({ maxRows = mostRatings } = {}): RatingsTableBuilder {
  const profiles = new Map<string, number>();
  const titles = new Map<string, number>();
  // Row of each pair by profile: a map per profile stays small, one map over all pairs would not fit.
  const rowsOfProfile: Map<number, number>[] = [];
  let columns = columnsOf(1024);
  let rows = 0;
  let replaced = 0;

  const numberOf = (map: Map<string, number>, id: string) => {
    const known = map.get(id);
    if (known !== undefined) return known;
    map.set(id, map.size);
    return map.size - 1;
  };
  const write = (at: number, row: RatingRow) => {
    columns.value[at] = row.value;
    columns.timeMs[at] = row.timeMs;
  };

  return {
    get rows() {
      return rows;
    },
    get replaced() {
      return replaced;
    },
    add: (row) => {
      const profile = numberOf(profiles, row.profile);
      const title = numberOf(titles, row.title);
      rowsOfProfile[profile] ??= new Map();
      const rowsHere = rowsOfProfile[profile];
      const earlier = rowsHere.get(title);
      if (earlier !== undefined) {
        replaced += 1;
        if (row.timeMs >= (columns.timeMs[earlier] ?? 0)) write(earlier, row);
        return;
      }
      if (rows >= maxRows) throw datasetTooLarge('ratings', maxRows);
      if (rows === columns.value.length) columns = columnsOf(rows * 2, columns);
      rowsHere.set(title, rows);
      columns.profile[rows] = profile;
      columns.title[rows] = title;
      write(rows, row);
      rows += 1;
    },
    finish: () => {
      const byProfile = sortedIndex(profiles);
      const byTitle = sortedIndex(titles);
      return {
        profiles: byProfile.index,
        titles: byTitle.index,
        profile: columns.profile.slice(0, rows).map((number) => byProfile.rank[number] ?? 0),
        title: columns.title.slice(0, rows).map((number) => byTitle.rank[number] ?? 0),
        value: columns.value.slice(0, rows),
        timeMs: columns.timeMs.slice(0, rows),
      };
    },
  };
}

interface Columns {
  readonly profile: Uint32Array;
  readonly title: Uint32Array;
  readonly value: Float32Array;
  readonly timeMs: Float64Array;
}

function columnsOf(length: number, from?: Columns): Columns {
  const columns = {
    profile: new Uint32Array(length),
    title: new Uint32Array(length),
    value: new Float32Array(length),
    timeMs: new Float64Array(length),
  };
  if (from) {
    columns.profile.set(from.profile);
    columns.title.set(from.title);
    columns.value.set(from.value);
    columns.timeMs.set(from.timeMs);
  }
  return columns;
}

/** Index in id order, and the rank there of each number of first appearance. */
function sortedIndex(numbers: ReadonlyMap<string, number>): { index: IdIndex; rank: Uint32Array } {
  const entries = [...numbers].sort(([a], [b]) => compareIds(a, b));
  const rank = new Uint32Array(entries.length);
  for (const [at, [, number]] of entries.entries()) rank[number] = at;
  return { index: createIdIndex(entries.map(([id]) => id)), rank };
}

/** The rows of the table for which `keep` is true; ids and indexes stay those of the whole table. */
export function selectRows(table: RatingsTable, keep: (row: number) => boolean): RatingsTable {
  const rows = Uint32Array.from(table.value.keys().filter(keep));
  return {
    profiles: table.profiles,
    titles: table.titles,
    profile: rows.map((row) => table.profile[row] ?? 0),
    title: rows.map((row) => table.title[row] ?? 0),
    value: Float32Array.from(rows, (row) => table.value[row] ?? 0),
    timeMs: Float64Array.from(rows, (row) => table.timeMs[row] ?? 0),
  };
}
