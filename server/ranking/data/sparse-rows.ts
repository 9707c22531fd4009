import type { RatingsTable } from './ratings-table.ts';

/** A sparse 0/1 matrix by rows: row r holds columns[offsets[r] .. offsets[r + 1]), ascending. */
export interface SparseRows {
  readonly offsets: Uint32Array;
  readonly columns: Uint32Array;
}

/** Least rating that counts as a positive sign. */
export const leastPositive = 4;

/** Titles of each profile among the ratings of at least `least` (default 0 = all). */
export function titlesByProfile(table: RatingsTable, least = 0): SparseRows {
  return group(table.profile, table.title, table.value, table.profiles.ids.length, least);
}

/** Profiles of each title among the ratings of at least `least` (default 0 = all). */
export function profilesByTitle(table: RatingsTable, least = 0): SparseRows {
  return group(table.title, table.profile, table.value, table.titles.ids.length, least);
}

/** The columns of one row, without copying. */
export function rowOf(rows: SparseRows, row: number): Uint32Array {
  return rows.columns.subarray(rows.offsets[row] ?? 0, rows.offsets[row + 1] ?? 0);
}

function group(
  row: Uint32Array,
  column: Uint32Array,
  value: Float32Array,
  rowCount: number,
  least: number,
): SparseRows {
  const offsets = new Uint32Array(rowCount + 1);
  for (let i = 0; i < row.length; i++) {
    if ((value[i] ?? 0) >= least) bump(offsets, (row[i] ?? 0) + 1);
  }
  for (let r = 0; r < rowCount; r++) offsets[r + 1] = (offsets[r + 1] ?? 0) + (offsets[r] ?? 0);
  const columns = new Uint32Array(offsets[rowCount] ?? 0);
  const next = offsets.slice();
  for (let i = 0; i < row.length; i++) {
    if ((value[i] ?? 0) >= least) columns[bump(next, row[i] ?? 0)] = column[i] ?? 0;
  }
  for (let r = 0; r < rowCount; r++) columns.subarray(offsets[r], offsets[r + 1]).sort();
  return { offsets, columns };
}

/** Adds one and gives the value before. */
function bump(counts: Uint32Array, at: number): number {
  const before = counts[at] ?? 0;
  counts[at] = before + 1;
  return before;
}
