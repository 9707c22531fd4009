import type { LoadedFilter } from '../load/loaded-filter.ts';
import { inRunningOrder } from './running-order.ts';

/** A set of filters, and those of them that are switched off. */
export interface KeyedSet {
  readonly filters: readonly LoadedFilter[];
  readonly disabled: ReadonlySet<string>;
}

/** Why there is no key, where something can be said: who has it, or one of the same name. */
function hintOf(filters: readonly LoadedFilter[], key: LoadedFilter['requires'][number]): string {
  const late = filters.find(({ provides }) => provides.includes(key));
  if (late !== undefined) return `: ${late.id} does, but it is switched off or runs elsewhere`;
  const namesake = filters.find(({ provides }) => provides.some(({ name }) => name === key.name));
  if (namesake === undefined) return '';
  return `: ${namesake.id} provides another key of that name; both must take it from one module outside their folders`;
}

/** Keys that filters which are on require and that no filter which is on and runs before them provides, in words. */
export function keyFaults({ filters, disabled }: KeyedSet): string[] {
  const serving = inRunningOrder(filters).filter(({ id, isEnabled }) => isEnabled && !disabled.has(id));
  return serving.flatMap(({ id, type, requires }, place) =>
    requires.flatMap((key) => {
      const earlier = serving.slice(0, place);
      // Outbound filters do not run in the calls that error filters are for.
      const isProvided = earlier.some(
        (other) => other.provides.includes(key) && (type !== 'error' || other.type !== 'outbound'),
      );
      if (isProvided) return [];
      const hint = hintOf(filters, key);
      return [`${id} requires the key "${key.name}", which no enabled filter before it provides${hint}`];
    }),
  );
}

/** The faults of `after` that `before` did not have: what is at fault already must not stand in the way of other steps. */
export function newKeyFaults(before: KeyedSet, after: KeyedSet): string[] {
  const faults = keyFaults(after);
  if (faults.length === 0) return faults;
  const old = new Set(keyFaults(before));
  return faults.filter((fault) => !old.has(fault));
}
