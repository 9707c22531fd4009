import type { JsonValue } from '../nbformat/json-value.ts';
import { type Cell, type CodeCell, hasTag, type Notebook } from '../nbformat/notebook.ts';
import { newCellId } from '../nbformat/upgrade-cells.ts';
import { checkParameters, type ParameterRules } from './check-parameters.ts';
import type { Inference } from './inference/inference.ts';
import { readParameterSchema } from './parameter-schema.ts';
import { type Parameters, parameterToJson } from './parameter-value.ts';
import { secretVariable } from './secret-reference.ts';
import { encodeTaggedValues } from './tagged-value.ts';
import { translatorFor } from './translators/translator-for.ts';

/** Papermill's tag of the cell that declares parameters with their defaults. */
export const parametersTag = 'parameters';
/** Papermill's tag of the cell that sets them for one run. */
export const injectedTag = 'injected-parameters';

/** A notebook with its parameters in place. */
export interface Injection {
  readonly notebook: Notebook;
  /** The checked values, as JSON for metadata; a secret shows as its reference. */
  readonly parameters: Record<string, JsonValue>;
  /** Those of `parameters` that plain JSON does not keep as they are, in the form that `decodeTaggedValues` reads. */
  readonly exactParameters: Record<string, JsonValue>;
  /** Names of the secrets that the injected cell takes from the kernel's environment, see `secretVariable`. */
  readonly secretNames: readonly string[];
  /** Where the injected cell stands; undefined when nothing was injected. */
  readonly index: number | undefined;
  /** True when it took the place of a cell of an earlier run. */
  readonly replaced: boolean;
  readonly warnings: readonly string[];
}

/**
 * Adds a cell tagged `injected-parameters` with the given values where Papermill puts it: in place of an earlier
 * such cell, else right after the first cell tagged `parameters` (a code cell before any other), else at the top (with a warning). No parameters,
 * no cell. As in Papermill, expressions of the defaults cell that derive from a parameter keep the default's value.
 * Throws NOTEBOOK_PARAMETERS_INVALID or NOTEBOOK_LANGUAGE_UNSUPPORTED. The given notebook is not changed.
 */
export function injectParameters(
  notebook: Notebook,
  parameters: Readonly<Record<string, unknown>>,
  language: string,
  kernelName = '',
): Injection {
  const none: Injection = {
    notebook,
    parameters: {},
    exactParameters: {},
    secretNames: [],
    index: undefined,
    replaced: false,
    warnings: [],
  };
  const schema = readParameterSchema(notebook);
  if (Object.keys(parameters).length === 0 && schema === undefined) return none;
  const translator = translatorFor(language, kernelName);
  const defaults = findTagged(notebook, parametersTag);
  const inference = defaults === undefined ? undefined : translator.infer(notebook.cells[defaults]?.source ?? '');
  const rules = { translator, inference, schema };
  const { values, secrets } = checkParameters(parameters, rules);
  const secretNames = [...new Set(Object.values(secrets))];
  if (Object.keys(values).length + secretNames.length === 0) return none;
  const earlier = findTagged(notebook, injectedTag);
  // A heading with the tag holds no defaults, but says where they would be.
  const place = defaults ?? notebook.cells.findIndex((cell) => hasTag(cell, parametersTag));
  const index = earlier ?? place + 1;
  const cell = injectedCell(sourceOf(values, secrets, rules), notebook.cells, earlier);
  const recorded = [
    ...Object.entries(values).map(([name, value]) => [name, parameterToJson(value)] as const),
    ...Object.entries(secrets).map(([name, secret]) => [name, { $secret: secret }] as const),
  ];
  return {
    notebook: { ...notebook, cells: notebook.cells.toSpliced(index, earlier === undefined ? 0 : 1, cell) },
    parameters: Object.fromEntries(recorded),
    exactParameters: exactParameters(values),
    secretNames,
    index,
    replaced: earlier !== undefined,
    warnings:
      earlier === undefined && place < 0
        ? ['no cell is tagged "parameters": the parameters were injected at the top']
        : [],
  };
}

function exactParameters(values: Parameters): Record<string, JsonValue> {
  const exact = Object.entries(values).map(([name, value]) => [name, encodeTaggedValues(value)] as const);
  const isKept = (name: string, item: JsonValue) =>
    JSON.stringify(parameterToJson(values[name] ?? null)) === JSON.stringify(item);
  return Object.fromEntries(exact.filter(([name, item]) => !isKept(name, item)));
}

function sourceOf(
  values: ReturnType<typeof checkParameters>['values'],
  secrets: Readonly<Record<string, string>>,
  { translator, inference }: ParameterRules,
): string {
  const keywordOf = (name: string) => inference?.declarations.get(name)?.keyword;
  const prelude = translator.prelude?.(Object.values(values));
  return [
    translator.comment,
    ...(prelude === undefined ? [] : [prelude]),
    ...Object.entries(values).map(([name, value]) => translator.assignment(name, value, keywordOf(name))),
    ...Object.entries(secrets).map(([name, secret]) =>
      translator.secretAssignment(name, secretVariable(secret), keywordOf(name)),
    ),
  ].join('\n');
}

/** What the notebook's defaults cell declares; undefined when it has none or the cell cannot be read. */
export function inferParameters(notebook: Notebook, language: string, kernelName = ''): Inference | undefined {
  const defaults = findTagged(notebook, parametersTag);
  if (defaults === undefined) return undefined;
  return translatorFor(language, kernelName).infer(notebook.cells[defaults]?.source ?? '');
}

/** True when the notebook has a cell of defaults. */
export function hasParametersCell(notebook: Notebook): boolean {
  return findTagged(notebook, parametersTag) !== undefined;
}

function findTagged(notebook: Notebook, tag: string): number | undefined {
  const index = notebook.cells.findIndex((cell) => cell.cell_type === 'code' && hasTag(cell, tag));
  return index < 0 ? undefined : index;
}

function injectedCell(source: string, cells: readonly Cell[], earlier: number | undefined): CodeCell {
  const id =
    (earlier === undefined ? undefined : cells[earlier]?.id) ?? newCellId(new Set(cells.map((cell) => cell.id)));
  return { cell_type: 'code', id, metadata: { tags: [injectedTag] }, source, execution_count: null, outputs: [] };
}
