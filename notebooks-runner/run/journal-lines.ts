import type { JsonObject } from '../nbformat/json-value.ts';
import type { Cell, CodeCell, Output } from '../nbformat/notebook.ts';
import type { ListChange, OutputChanges } from '../outputs/output-changes.ts';

/** One line of the journal: a change of one cell's state or outputs, or of the notebook's metadata. */
export type JournalLine =
  | { readonly cell: number; readonly count: number | null; readonly metadata: JsonObject }
  /** Text that was added to a stream output. */
  | { readonly cell: number; readonly at: number; readonly text: string }
  /** An output that is new at this place, or another one now. */
  | { readonly cell: number; readonly at: number; readonly output: Output }
  /** All outputs, after they were cleared. */
  | { readonly cell: number; readonly outputs: readonly Output[] }
  | { readonly metadata: JsonObject };

/** Turns the changes of a run into lines, each JSON and a newline. */
export interface JournalLines {
  noteCell(cell: CodeCell): void;
  noteMetadata(): void;
  isMetadataNew(): boolean;
  /** The lines for everything that changed since the last call. */
  drain(metadata: JsonObject): string;
}

/**
 * `cells`: the document that is run, whose cells and lists of outputs are known by identity. The first lines hold
 * outputs in full, later ones of a stream only what was added.
 */
export function createJournalLines(cells: readonly Cell[], changes: OutputChanges): JournalLines {
  const indexOf = new Map<object, number>();
  /** Per list of outputs: the text length of each that the journal has; -1 for other kinds. */
  const written = new Map<Output[], number[]>();
  for (const [index, cell] of cells.entries()) {
    if (cell.cell_type !== 'code') continue;
    indexOf.set(cell, index);
    indexOf.set(cell.outputs, index);
  }
  let changedCells = new Set<CodeCell>();
  let isMetadataNew = false;

  function linesOf({ outputs, isReset, changed }: ListChange, cell: number): JournalLine[] {
    const lengths = written.get(outputs) ?? [];
    written.set(outputs, lengths);
    if (isReset) {
      lengths.splice(0, lengths.length, ...outputs.map(lengthOf));
      return [{ cell, outputs }];
    }
    const lines: JournalLine[] = [];
    for (const [output, kind] of changed) {
      const at = outputs.lastIndexOf(output);
      const length = lengths[at];
      if (at < 0 || length === undefined) continue;
      if (kind === 'replaced' || output.output_type !== 'stream') lines.push({ cell, at, output });
      else lines.push({ cell, at, text: output.text.slice(length) });
      lengths[at] = lengthOf(output);
    }
    for (const output of outputs.slice(lengths.length)) {
      lines.push({ cell, at: lengths.length, output });
      lengths.push(lengthOf(output));
    }
    return lines;
  }

  return {
    noteCell: (cell) => changedCells.add(cell),
    noteMetadata: () => {
      isMetadataNew = true;
    },
    isMetadataNew: () => isMetadataNew,
    drain: (metadata) => {
      const lines: JournalLine[] = isMetadataNew ? [{ metadata }] : [];
      isMetadataNew = false;
      for (const change of changes.take()) {
        const cell = indexOf.get(change.outputs);
        if (cell !== undefined) lines.push(...linesOf(change, cell));
      }
      for (const cell of changedCells) {
        lines.push({ cell: indexOf.get(cell) ?? 0, count: cell.execution_count, metadata: cell.metadata });
      }
      changedCells = new Set();
      return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    },
  };
}

function lengthOf(output: Output): number {
  return output.output_type === 'stream' ? output.text.length : -1;
}
