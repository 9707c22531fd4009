import { type FilterType, filterTypes } from '../filter.ts';
import type { LoadedFilter } from '../load/loaded-filter.ts';

/** What says where a filter runs. */
export type Placed = Pick<LoadedFilter, 'type' | 'order' | 'id'> & {
  readonly after?: readonly string[] | undefined;
  readonly before?: readonly string[] | undefined;
};

function rankOf(type: FilterType): number {
  return filterTypes.indexOf(type);
}

/** Type, then order, then id. Ids are unique but for a canary, which no call meets with the active. */
function compareFilters(a: Placed, b: Placed): number {
  return rankOf(a.type) - rankOf(b.type) || a.order - b.order || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/** What each filter must come after: its own `after`, and the `before` of others. Of filters that are there. */
function predecessorsOf<F extends Placed>(filters: readonly F[]): Map<F, Set<string>> {
  const found = new Map(filters.map((filter) => [filter, new Set(filter.after)]));
  for (const { id, before = [] } of filters) {
    for (const [filter, ids] of found) if (before.includes(filter.id)) ids.add(id);
  }
  return found;
}

/**
 * The order in which filters run: type, then order, then id, but none before what it must come after (`after`,
 * `before`). A wish that cannot be met (see `orderFaults`, which keeps such sets out) is left aside.
 */
export function inRunningOrder<F extends Placed>(filters: readonly F[]): F[] {
  const sorted = filters.toSorted(compareFilters);
  if (!sorted.some(({ after, before }) => after?.length || before?.length)) return sorted;
  const predecessors = predecessorsOf(sorted);
  const left = new Set(sorted);
  const ordered: F[] = [];
  const isFree = (filter: F) => ![...left].some((other) => other !== filter && predecessors.get(filter)?.has(other.id));
  while (left.size > 0) {
    const candidates = [...left].filter(({ type }) => type === [...left][0]?.type);
    const next = candidates.find(isFree) ?? candidates[0];
    if (next === undefined) break;
    ordered.push(next);
    left.delete(next);
  }
  return ordered;
}

/** What is wrong with the wishes of a set: filters that are not there, of a type that runs elsewhere, or a circle. */
export function orderFaults(filters: readonly Placed[]): string[] {
  const byId = new Map(filters.map((filter) => [filter.id, filter]));
  const faults: string[] = [];
  for (const { id, type, after = [], before = [] } of filters) {
    for (const [word, ids, sign] of [['after', after, 1] as const, ['before', before, -1] as const]) {
      for (const other of ids) {
        const found = byId.get(other);
        if (found === undefined) faults.push(`${id} must run ${word} ${other}, which is not loaded`);
        else if ((rankOf(type) - rankOf(found.type)) * sign < 0) {
          faults.push(`${id} (${type}) cannot run ${word} ${other} (${found.type})`);
        }
      }
    }
  }
  return faults.length > 0 ? faults : circleOf(filters);
}

/** A circle of wishes, in words; none when there is none. */
function circleOf(filters: readonly Placed[]): string[] {
  const place = new Map(inRunningOrder(filters).map(({ id }, index) => [id, index]));
  for (const [{ id }, ids] of predecessorsOf(filters)) {
    for (const earlier of ids) {
      if ((place.get(earlier) ?? 0) < (place.get(id) ?? 0)) continue;
      return [`${id} must run after ${earlier}, which must run after it: the wishes are a circle`];
    }
  }
  return [];
}
