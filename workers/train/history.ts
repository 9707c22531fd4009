import type { RatingsTable } from '../../server/ranking/data/ratings-table.ts';
import type { SparseRows } from '../../server/ranking/data/sparse-rows.ts';

/** What each profile rated, oldest first (ties by title), with the ratings beside it. */
export function historyByTime(table: RatingsTable): { history: SparseRows; historyValues: Float32Array } {
  const rows = Uint32Array.from(table.value.keys()).sort(
    (a, b) =>
      (table.profile[a] ?? 0) - (table.profile[b] ?? 0) ||
      (table.timeMs[a] ?? 0) - (table.timeMs[b] ?? 0) ||
      (table.title[a] ?? 0) - (table.title[b] ?? 0),
  );
  const offsets = new Uint32Array(table.profiles.ids.length + 1);
  for (const profile of table.profile) offsets[profile + 1] = (offsets[profile + 1] ?? 0) + 1;
  for (let profile = 1; profile < offsets.length; profile++) {
    offsets[profile] = (offsets[profile] ?? 0) + (offsets[profile - 1] ?? 0);
  }
  return {
    history: { offsets, columns: rows.map((row) => table.title[row] ?? 0) },
    historyValues: Float32Array.from(rows, (row) => table.value[row] ?? 0),
  };
}
