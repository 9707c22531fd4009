import { selectionInvalid } from '../errors.ts';
import { type Cell, type CodeCell, hasTag, type Notebook } from '../nbformat/notebook.ts';
import { injectedTag, parametersTag } from '../parameters/inject-parameters.ts';

/** Which cells run; a cell that is left out is `skipped`. Cells of parameters always run. */
export interface CellSelection {
  /** Only cells with one of these tags. Default all. */
  readonly onlyTags?: readonly string[] | undefined;
  /** No cell with one of these tags. */
  readonly skipTags?: readonly string[] | undefined;
  /** First cell, by id, tag or position in the executed notebook; the first one of those with the tag. */
  readonly from?: string | undefined;
  /** Last cell, named alike; the last one of those with the tag. */
  readonly until?: string | undefined;
}

/** Nbclient's tag: the cell is not run. */
const skipTag = 'skip-execution';

/** True for the cells that run. Throws NOTEBOOK_SELECTION_INVALID for a cell or tag that the notebook does not have. */
export function selectCells(notebook: Notebook, selection: CellSelection = {}): (cell: CodeCell) => boolean {
  const { cells } = notebook;
  const { onlyTags, skipTags = [], from, until } = selection;
  for (const tag of onlyTags ?? []) {
    if (!cells.some((cell) => hasTag(cell, tag))) throw selectionInvalid('onlyTags', `no cell is tagged "${tag}"`);
  }
  const first = from === undefined ? 0 : findCell(cells, from, 'from');
  const last = until === undefined ? cells.length - 1 : findCell(cells, until, 'until');
  if (first > last) throw selectionInvalid('from', 'stands behind "until"');
  const chosen = new Set<Cell>(
    cells.filter((cell, index) => {
      if (hasTag(cell, skipTag) || cell.source.trim() === '') return false;
      if (hasTag(cell, parametersTag) || hasTag(cell, injectedTag)) return true;
      if (index < first || index > last || skipTags.some((tag) => hasTag(cell, tag))) return false;
      return onlyTags === undefined || onlyTags.some((tag) => hasTag(cell, tag));
    }),
  );
  return (cell) => chosen.has(cell);
}

/** By id first, then by tag, then by position. */
function findCell(cells: readonly Cell[], name: string, field: 'from' | 'until'): number {
  const byId = cells.findIndex((cell) => cell.id === name);
  if (byId >= 0) return byId;
  const isTagged = (cell: Cell) => hasTag(cell, name);
  const byTag = field === 'until' ? cells.findLastIndex(isTagged) : cells.findIndex(isTagged);
  if (byTag >= 0) return byTag;
  if (/^\d{1,6}$/.test(name) && Number(name) < cells.length) return Number(name);
  throw selectionInvalid(field, `no cell has the id, tag or position "${name}"`);
}
