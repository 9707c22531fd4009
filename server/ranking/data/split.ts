import { type RatingsTable, selectRows } from './ratings-table.ts';

/** Training and held-out part of one table; both keep its indexes. */
export interface Split {
  readonly train: RatingsTable;
  readonly test: RatingsTable;
}

/** MurmurHash3's 32-bit finaliser: spreads row numbers evenly over folds, the same in every language. */
export function fmix32(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Holds out the rows whose fmix32(row number) mod `folds` is `fold` (protocol P1: 5 folds). */
export function splitByFold(table: RatingsTable, fold: number, folds = 5): Split {
  const isHeldOut = (row: number) => fmix32(row) % folds === fold;
  return { train: selectRows(table, (row) => !isHeldOut(row)), test: selectRows(table, isHeldOut) };
}

/**
 * Holds out each profile's newest ratings, `fraction` of them rounded up, ordered by time and then by title
 * (protocol P3: 0.2): as in production, nothing is learnt from what came later.
 */
export function splitByTime(table: RatingsTable, fraction = 0.2): Split {
  const rowsOf = Array.from({ length: table.profiles.ids.length }, (): number[] => []);
  for (const [row, profile] of table.profile.entries()) rowsOf[profile]?.push(row);
  const isHeldOut = new Uint8Array(table.value.length);
  for (const rows of rowsOf) {
    rows.sort(
      (a, b) => (table.timeMs[a] ?? 0) - (table.timeMs[b] ?? 0) || (table.title[a] ?? 0) - (table.title[b] ?? 0),
    );
    for (const row of rows.slice(rows.length - Math.ceil(rows.length * fraction))) isHeldOut[row] = 1;
  }
  return {
    train: selectRows(table, (row) => isHeldOut[row] === 0),
    test: selectRows(table, (row) => isHeldOut[row] === 1),
  };
}
