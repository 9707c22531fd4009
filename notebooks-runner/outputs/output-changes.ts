import type { Output } from '../nbformat/notebook.ts';

/** How an output changed: text was added at its end, or it is another one now. */
export type ChangeKind = 'grown' | 'replaced';

/** What changed in one list of outputs; new ones at its end are not named. */
export interface ListChange {
  readonly outputs: Output[];
  /** True when the list was emptied. */
  readonly isReset: boolean;
  readonly changed: ReadonlyMap<Output, ChangeKind>;
}

/** Notes which outputs changed since they were last asked for. */
export interface OutputChanges {
  note(outputs: Output[], output: Output, kind: ChangeKind): void;
  reset(outputs: Output[]): void;
  /** The changed lists; they count as unchanged from then on. */
  take(): ListChange[];
}

/** Notes nothing: for runs whose output is not followed. */
export const noChanges: OutputChanges = { note: () => {}, reset: () => {}, take: () => [] };

/** Keeps references, not copies: whoever takes the lists sees them as they are by then. */
export function createOutputChanges(): OutputChanges {
  let lists = new Map<Output[], { isReset: boolean; readonly changed: Map<Output, ChangeKind> }>();
  const listOf = (outputs: Output[]) => {
    const found = lists.get(outputs) ?? { isReset: false, changed: new Map<Output, ChangeKind>() };
    lists.set(outputs, found);
    return found;
  };
  return {
    note: (outputs, output, kind) => {
      const { changed } = listOf(outputs);
      if (kind === 'replaced' || !changed.has(output)) changed.set(output, kind);
    },
    reset: (outputs) => {
      const list = listOf(outputs);
      list.isReset = true;
      list.changed.clear();
    },
    take: () => {
      const taken = [...lists].map(([outputs, list]) => ({ outputs, ...list }));
      lists = new Map();
      return taken;
    },
  };
}
