import { isDeepStrictEqual } from 'node:util';
import { isJsonObject, type JsonObject, type JsonValue } from '../nbformat/json-value.ts';
import { type CodeCell, hasTag, type Notebook, type Output } from '../nbformat/notebook.ts';
import { injectedTag } from '../parameters/inject-parameters.ts';
import { withoutMarkers } from './error-markers.ts';

/** Cells with this tag are not run again when they succeeded before: their effects outside are done. */
export const runOnceTag = 'run-once';

/** What an earlier, unfinished run of the same notebook has left. */
export interface ResumePlan {
  /** The parameters of the earlier run, as its metadata holds them; what plain JSON would change is tagged. */
  readonly parameters: JsonObject;
  /** The earlier cell that the cell repeats: succeeded then, and of the same source; else undefined. */
  earlierOf(cell: CodeCell): CodeCell | undefined;
  /** Sets the cells of the new run: they match by order and source. */
  match(notebook: Notebook): void;
}

/** Reads how far the earlier output notebook came. */
export function createResumePlan(earlier: Notebook): ResumePlan {
  const done = plainCells(earlier);
  const pairs = new Map<CodeCell, CodeCell>();
  const { papermill, showrunner } = earlier.metadata;
  return {
    parameters: { ...objectIn(papermill, 'parameters'), ...objectIn(showrunner, 'exact_parameters') },
    earlierOf: (cell) => pairs.get(cell),
    match: (notebook) => {
      for (const [index, cell] of plainCells(notebook).entries()) {
        const before = done[index];
        if (before === undefined || before.source !== cell.source) return;
        if (statusOf(before) === 'succeeded') pairs.set(cell, before);
      }
    },
  };
}

function objectIn(metadata: JsonValue | undefined, key: string): JsonObject {
  const found = isJsonObject(metadata) ? metadata[key] : undefined;
  return isJsonObject(found) ? found : {};
}

/** Code cells without what a run adds. */
function plainCells({ cells }: Notebook): CodeCell[] {
  return withoutMarkers(cells).filter((cell) => cell.cell_type === 'code' && !hasTag(cell, injectedTag)) as CodeCell[];
}

function statusOf(cell: CodeCell): JsonValue | undefined {
  const own = cell.metadata['showrunner'];
  return isJsonObject(own) ? own['status'] : undefined;
}

/** True when two runs of a cell showed the same, by what a reader sees: counts and metadata aside. */
export function isSameOutput(a: readonly Output[], b: readonly Output[]): boolean {
  // Not by JSON: a file has its keys sorted, a kernel has not.
  return isDeepStrictEqual(a.map(shownBy), b.map(shownBy));
}

function shownBy(output: Output): unknown {
  switch (output.output_type) {
    case 'stream':
      return [output.name, output.text];
    case 'error':
      return [output.ename, output.evalue];
    default:
      return [output.output_type, output.data];
  }
}
