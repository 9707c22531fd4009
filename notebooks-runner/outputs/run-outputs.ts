import type { JsonObject } from '../nbformat/json-value.ts';
import type { DisplayOutput, Output, ResultOutput } from '../nbformat/notebook.ts';
import { type CellOutputs, createCellOutputs } from './cell-outputs.ts';
import { noChanges, type OutputChanges } from './output-changes.ts';

/** Bounds of kept output, in bytes of text. */
export interface OutputLimits {
  readonly maxCellBytes: number;
  readonly maxRunBytes: number;
}

/** An output that can be rewritten later by its display id, and how its size is accounted. */
export interface DisplayHandle {
  readonly output: DisplayOutput | ResultOutput;
  /** Replaces content within the limits of the cell that shows it. */
  replace(data: unknown, metadata: unknown): void;
}

/** What cells share: the run's byte budget and the displays by id. */
export interface SharedOutputs {
  readonly limits: OutputLimits;
  usedBytes: number;
  readonly displays: Map<string, Set<DisplayHandle>>;
  readonly changes: OutputChanges;
}

/** The outputs of one run. */
export interface RunOutputs {
  /** Starts collecting into `outputs`, which is the list of a cell. */
  forCell(outputs: Output[]): CellOutputs;
  /** Rewrites every output shown under the display id, in whichever cell it stands. */
  updateDisplay(displayId: string, data: unknown, metadata: unknown): void;
}

/** Outputs of a run with one budget; what is over a limit is dropped, counted and marked in the cell. */
export function createRunOutputs(limits: OutputLimits, changes: OutputChanges = noChanges): RunOutputs {
  const shared: SharedOutputs = { limits, usedBytes: 0, displays: new Map(), changes };
  return {
    forCell: (outputs) => createCellOutputs(outputs, shared),
    updateDisplay: (displayId, data, metadata) => {
      for (const handle of shared.displays.get(displayId) ?? []) handle.replace(data, metadata);
    },
  };
}

/** The display id in a message's `transient`; undefined when it has none. */
export function displayIdOf(content: JsonObject): string | undefined {
  const transient = content['transient'];
  const id = typeof transient === 'object' && transient !== null ? (transient as JsonObject)['display_id'] : undefined;
  return typeof id === 'string' ? id : undefined;
}
