import { findKernelspec, type Kernelspec } from '../kernel/kernelspec.ts';
import { isJsonObject, type JsonObject } from '../nbformat/json-value.ts';
import type { Cell, CodeCell, Notebook } from '../nbformat/notebook.ts';
import { readNotebook } from '../nbformat/read-notebook.ts';
import { injectParameters } from '../parameters/inject-parameters.ts';
import { cellTimeoutOf } from './cell-timeout.ts';
import { withoutMarkers } from './error-markers.ts';
import { chooseKernelName, loadSource } from './load-source.ts';
import { createResumePlan, type ResumePlan } from './resume-plan.ts';
import type { RunNotebookOptions } from './run-options.ts';
import { resolveSecrets } from './secrets.ts';
import { selectCells } from './select-cells.ts';
import { readSource } from './source-guard.ts';

/** A run that has passed every check which needs no kernel. */
export interface PreparedRun {
  /** Parameters in place, outputs and traces of an earlier run removed. */
  readonly notebook: Notebook;
  readonly spec: Kernelspec;
  readonly parameters: JsonObject;
  readonly exactParameters: JsonObject;
  /** Name → value of the secrets that the parameters refer to. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Whether a code cell is to run. */
  isSelected(cell: CodeCell): boolean;
  /** The limit that a cell sets itself, in ms. */
  timeoutMsOf(cell: CodeCell): number | undefined;
  /** Undefined for a run from the start. */
  readonly resume: ResumePlan | undefined;
  readonly sourceSha256: string;
  /** Position in the source for a position in `notebook`; undefined for an injected cell. */
  sourceIndexOf(index: number): number | undefined;
  isSourceUnchanged(): Promise<boolean>;
  readonly warnings: string[];
}

/** Reads, checks and parameterises the source. Throws before anything is written or started. */
export async function prepareRun(options: RunNotebookOptions, maxSourceBytes: number): Promise<PreparedRun> {
  const source = await loadSource(options, maxSourceBytes);
  const spec = await findKernelspec(chooseKernelName(options.kernelName, source.notebook), options.kernels);
  const resume = await readResumePlan(options, maxSourceBytes);
  const unmarked = { ...source.notebook, cells: withoutMarkers(source.notebook.cells) };
  const given = options.parameters ?? resume?.parameters ?? {};
  const injection = injectParameters(unmarked, given, spec.language, spec.name);
  const positions = new Map(source.notebook.cells.map((cell, index) => [cell.id, index]));
  const cells = injection.notebook.cells.map(withoutTraces);
  const notebook = {
    ...injection.notebook,
    cells: options.isReport === true ? cells.map(withHiddenSource) : cells,
  };
  delete notebook.metadata['widgets'];
  resume?.match(notebook);
  const timeouts = new Map(cells.map((cell, index) => [cell.id, cellTimeoutOf(cell, `cells[${index}]`)]));
  notebook.metadata['kernelspec'] = { display_name: spec.displayName, language: spec.language, name: spec.name };
  return {
    notebook,
    spec,
    parameters: injection.parameters,
    exactParameters: injection.exactParameters,
    secrets: await resolveSecrets(injection.secretNames, options.secrets),
    isSelected: selectCells(notebook, options.select),
    timeoutMsOf: (cell) => timeouts.get(cell.id),
    resume,
    sourceSha256: source.sha256,
    sourceIndexOf: (index) => positions.get(notebook.cells[index]?.id ?? ''),
    isSourceUnchanged: source.isUnchanged,
    warnings: [...source.warnings, ...injection.warnings],
  };
}

async function readResumePlan({ resumeFrom }: RunNotebookOptions, maxBytes: number): Promise<ResumePlan | undefined> {
  if (resumeFrom === undefined) return undefined;
  return createResumePlan(readNotebook((await readSource(resumeFrom, maxBytes)).bytes, { maxBytes }).notebook);
}

/** Removes what an earlier run recorded; what the author set in our namespace stays. */
function withoutTraces(cell: Cell): Cell {
  const { papermill: _papermill, showrunner, execution: _execution, ...rest } = cell.metadata;
  const timeout = isJsonObject(showrunner) ? showrunner['timeout_seconds'] : undefined;
  const metadata = timeout === undefined ? rest : { ...rest, showrunner: { timeout_seconds: timeout } };
  return cell.cell_type === 'code' ? { ...cell, metadata, outputs: [], execution_count: null } : { ...cell, metadata };
}

/** Hides the source of code cells, so that the output reads as a report. */
function withHiddenSource(cell: Cell): Cell {
  if (cell.cell_type !== 'code') return cell;
  const jupyter = cell.metadata['jupyter'];
  return {
    ...cell,
    metadata: { ...cell.metadata, jupyter: { ...(isJsonObject(jupyter) ? jupyter : {}), source_hidden: true } },
  };
}
