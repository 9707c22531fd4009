import { escapeMarkup } from '../../server/core/escape-markup.ts';
import { type Cell, hasTag, type TextCell } from '../nbformat/notebook.ts';
import { newCellId } from '../nbformat/upgrade-cells.ts';
import type { RunFailure, RunStatus } from './run-record.ts';

/** Papermill's tag for the cells it adds where a run failed; its tooling and ours remove them before the next run. */
export const markerTag = 'papermill-error-cell-tag';

const maxTextLength = 500;
const verb: Readonly<Record<RunStatus, string>> = {
  succeeded: 'succeeded',
  failed: 'failed',
  timed_out: 'ran out of time',
  killed: 'was killed',
  cancelled: 'was cancelled',
};

/** The cells without markers of an earlier run. */
export function withoutMarkers(cells: readonly Cell[]): Cell[] {
  return cells.filter((cell) => !hasTag(cell, markerTag));
}

/**
 * The cells with a note at the top that says how the run ended and links to an anchor right before the cell at fault.
 * Without such a cell only the note is added.
 */
export function withMarkers(
  cells: readonly Cell[],
  status: RunStatus,
  failure: RunFailure,
  executionCount: number | null,
): Cell[] {
  const taken = new Set(cells.map((cell) => cell.id));
  const text = escapeText(shorten(failure.evalue === '' ? failure.ename : `${failure.ename}: ${failure.evalue}`));
  const label = executionCount === null ? 'the cell below' : `In [${executionCount}]`;
  const at = failure.cellIndex;
  const place = at === undefined ? '' : ` at <a href="#papermill-error-cell">${label}</a>`;
  const note = marker(`<span style="color:red">This run ${verb[status]}${place}. ${text}</span>`, taken);
  if (at === undefined) return [note, ...cells];
  const anchor = `<span id="papermill-error-cell" style="color:red">The run ${verb[status]} in the cell below.</span>`;
  return [note, ...cells.slice(0, at), marker(anchor, taken), ...cells.slice(at)];
}

function marker(source: string, taken: Set<string>): TextCell {
  return { cell_type: 'markdown', id: newCellId(taken), metadata: { tags: [markerTag] }, source };
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= maxTextLength ? line : `${line.slice(0, maxTextLength)}…`;
}

/** Neutralises HTML and markdown, so that an error text can neither format nor link. */
function escapeText(text: string): string {
  return escapeMarkup(text.replace(/[\\`*_{}[\]()#+!|~$]/g, '\\$&'));
}
