/** Ids in index order with the way back. Indexes are dense from 0. */
export interface IdIndex {
  readonly ids: readonly string[];
  /** Undefined for an id that is not in the index. */
  indexOf(id: string): number | undefined;
}

/** Builds the index of distinct ids in the given order. */
export function createIdIndex(ids: readonly string[]): IdIndex {
  const indexes = new Map(ids.map((id, index) => [id, index]));
  return { ids, indexOf: (id) => indexes.get(id) };
}

/**
 * The order of ids: plain numbers by value and first, all others by UTF-16 code units. Index order decides ties
 * in every ranking, so it must not depend on the order of the rows.
 */
export function compareIds(a: string, b: string): number {
  const aIsNumber = isNumber(a);
  const bIsNumber = isNumber(b);
  if (aIsNumber && bIsNumber) return Number(a) - Number(b) || (a < b ? -1 : Number(a > b));
  if (aIsNumber !== bIsNumber) return aIsNumber ? -1 : 1;
  return a < b ? -1 : Number(a > b);
}

function isNumber(id: string): boolean {
  return /^\d{1,15}$/.test(id);
}
