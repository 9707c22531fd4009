import type { Json } from '../../../workers/queue/job-kind.ts';
import { resolveReferences } from '../expressions/resolve-references.ts';
import { workflowFault } from '../job-errors.ts';
import type { ForEach } from './workflow.ts';

const maxItems = 25_000;

/** The items of a foreach, made one by one: a grid is never laid out in memory. */
export interface Items {
  readonly total: number;
  at(index: number): Json;
}

/** Throws REFERENCE_UNKNOWN, FOREACH_INVALID for what is no list and for more than 25,000 items. */
export function itemsOf({ items, grid }: ForEach, scope: Json): Items {
  if (items !== undefined) {
    const list = listOf(items, scope, 'items');
    checkTotal(list.length);
    return { total: list.length, at: (index) => list[index] ?? null };
  }
  const axes = Object.entries(grid ?? {}).map(
    ([name, values]) => [name, listOf(values, scope, `grid.${name}`)] as const,
  );
  const total = axes.length === 0 ? 0 : axes.reduce((product, [, list]) => product * list.length, 1);
  checkTotal(total);
  return {
    total,
    at: (index) => {
      let rest = index;
      const values = axes.toReversed().map(([name, list]) => {
        const value = list[rest % list.length] ?? null;
        rest = Math.floor(rest / list.length);
        return [name, value] as const;
      });
      return Object.fromEntries(values.toReversed());
    },
  };
}

function listOf(value: Json, scope: Json, field: string): readonly Json[] {
  const resolved = resolveReferences(value, scope, `foreach.${field}`);
  if (!Array.isArray(resolved)) throw workflowFault('FOREACH_INVALID', `foreach.${field} must be a list`);
  return resolved as readonly Json[];
}

function checkTotal(total: number): void {
  if (total > maxItems) {
    throw workflowFault('FOREACH_INVALID', `foreach has ${total} items, at most ${maxItems} are possible`);
  }
}
