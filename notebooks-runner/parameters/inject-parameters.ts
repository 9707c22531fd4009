import type { JsonValue } from '../nbformat/json-value.ts';
import { type Cell, type CodeCell, hasTag, type Notebook } from '../nbformat/notebook.ts';
import { newCellId } from '../nbformat/upgrade-cells.ts';
import { checkParameters } from './check-parameters.ts';
import type { Inference } from './infer-typescript.ts';
import { type Parameters, parameterToJson } from './parameter-value.ts';
import { translatorFor } from './translator-for.ts';

export const parametersTag = 'parameters';
export const injectedTag = 'injected-parameters';

/** A notebook with its parameters in place. */
export interface Injection {
  readonly notebook: Notebook;
  /** The checked values, as JSON for metadata. */
  readonly parameters: Record<string, JsonValue>;
  /** Where the injected cell stands; undefined when nothing was injected. */
  readonly index: number | undefined;
  /** True when it took the place of a cell of an earlier run. */
  readonly replaced: boolean;
  readonly warnings: readonly string[];
}

/**
 * Adds a cell tagged `injected-parameters` with the given values where Papermill puts it: in place of an earlier
 * such cell, else right after the first cell tagged `parameters`, else at the top (with a warning). No parameters,
 * no cell. As in Papermill, expressions of the defaults cell that derive from a parameter keep the default's value.
 * Throws NOTEBOOK_PARAMETERS_INVALID or NOTEBOOK_LANGUAGE_UNSUPPORTED. The given notebook is not changed.
 */
export function injectParameters(notebook: Notebook, parameters: Parameters, language: string): Injection {
  if (Object.keys(parameters).length === 0) {
    return { notebook, parameters: {}, index: undefined, replaced: false, warnings: [] };
  }
  const translator = translatorFor(language);
  const defaults = findTagged(notebook, parametersTag);
  const inference = defaults === undefined ? undefined : translator.infer(notebook.cells[defaults]?.source ?? '');
  const checked = checkParameters(parameters, translator, inference);
  const lines = Object.entries(checked).map(([name, value]) =>
    translator.assignment(name, value, keywordOf(inference, name)),
  );
  const source = [translator.comment, ...lines].join('\n');
  const earlier = findTagged(notebook, injectedTag);
  const index = earlier ?? (defaults === undefined ? 0 : defaults + 1);
  const cell = injectedCell(source, notebook.cells, earlier);
  return {
    notebook: { ...notebook, cells: notebook.cells.toSpliced(index, earlier === undefined ? 0 : 1, cell) },
    parameters: Object.fromEntries(Object.entries(checked).map(([name, value]) => [name, parameterToJson(value)])),
    index,
    replaced: earlier !== undefined,
    warnings:
      earlier === undefined && defaults === undefined
        ? ['no cell is tagged "parameters": the parameters were injected at the top']
        : [],
  };
}

/** What the notebook's defaults cell declares; undefined when it has none or the cell cannot be read. */
export function inferParameters(notebook: Notebook, language: string): Inference | undefined {
  const defaults = findTagged(notebook, parametersTag);
  return defaults === undefined ? undefined : translatorFor(language).infer(notebook.cells[defaults]?.source ?? '');
}

function findTagged(notebook: Notebook, tag: string): number | undefined {
  const index = notebook.cells.findIndex((cell) => cell.cell_type === 'code' && hasTag(cell, tag));
  return index < 0 ? undefined : index;
}

function keywordOf(inference: Inference | undefined, name: string): string | undefined {
  return inference?.declarations.get(name)?.keyword;
}

function injectedCell(source: string, cells: readonly Cell[], earlier: number | undefined): CodeCell {
  const id =
    (earlier === undefined ? undefined : cells[earlier]?.id) ?? newCellId(new Set(cells.map((cell) => cell.id)));
  return { cell_type: 'code', id, metadata: { tags: [injectedTag] }, source, execution_count: null, outputs: [] };
}
