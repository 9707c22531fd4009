import { randomBytes } from 'node:crypto';
import type { Cell } from './notebook.ts';
import type { CellDraft } from './read-cell.ts';

/** A new cell id: 8 hex digits, unique among `taken`, to which it is added. */
export function newCellId(taken: Set<string>): string {
  let id: string;
  do id = randomBytes(4).toString('hex');
  while (taken.has(id));
  taken.add(id);
  return id;
}

/** Gives every cell the unique id that nbformat 4.5 asks for; a repeated id is replaced with a warning. */
export function upgradeCells(drafts: readonly CellDraft[], warnings: string[]): Cell[] {
  const taken = new Set<string>();
  for (const draft of drafts) if (draft.id !== undefined) taken.add(draft.id);
  const used = new Set<string>();
  return drafts.map((draft, index) => {
    let id = draft.id;
    if (id !== undefined && used.has(id)) {
      warnings.push(`cells[${index}]: duplicate id "${id}" replaced`);
      id = undefined;
    }
    id ??= newCellId(taken);
    used.add(id);
    return { ...draft, id };
  });
}
