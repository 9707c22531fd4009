import { invalidField } from '../../server/core/errors.ts';
import { kernelMissing } from '../errors.ts';
import { findKernelspec, type Kernelspec } from '../kernel/kernelspec.ts';
import { isJsonObject, type JsonObject } from '../nbformat/json-value.ts';
import { type Cell, type CodeCell, kernelNameOf, languageOf, type Notebook } from '../nbformat/notebook.ts';
import { checkNotebook, readNotebook } from '../nbformat/read-notebook.ts';
import { writeNotebook } from '../nbformat/write-notebook.ts';
import { injectParameters } from '../parameters/inject-parameters.ts';
import { cellTimeoutOf } from './cell-timeout.ts';
import { withoutMarkers } from './error-markers.ts';
import { createResumePlan, type ResumePlan } from './resume-plan.ts';
import type { RunNotebookOptions } from './run-options.ts';
import { resolveSecrets } from './secrets.ts';
import { selectCells } from './select-cells.ts';
import { isUnchanged, readSource, refuseSamePath, sha256Of } from './source-guard.ts';

/** A run that has passed every check which needs no kernel. */
export interface PreparedRun {
  /** Parameters in place, outputs and traces of an earlier run removed. */
  readonly notebook: Notebook;
  readonly spec: Kernelspec;
  readonly parameters: JsonObject;
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

const shippedKernelOf: Readonly<Record<string, string>> = { typescript: 'deno', javascript: 'deno', python: 'python3' };

/** Reads, checks and parameterises the source. Throws before anything is written or started. */
export async function prepareRun(options: RunNotebookOptions, maxSourceBytes: number): Promise<PreparedRun> {
  const source = await loadSource(options, maxSourceBytes);
  const spec = await findKernelspec(chooseKernel(options.kernelName, source.notebook), options.kernels);
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

interface LoadedSource {
  readonly notebook: Notebook;
  readonly warnings: readonly string[];
  readonly sha256: string;
  isUnchanged(): Promise<boolean>;
}

async function loadSource(options: RunNotebookOptions, maxBytes: number): Promise<LoadedSource> {
  const { inputPath, outputPath } = options;
  if ((inputPath === undefined) === (options.notebook === undefined)) {
    throw invalidField('inputPath', 'exactly one of inputPath and notebook must be given');
  }
  if (inputPath === undefined) {
    const { notebook, warnings } = checkNotebook(options.notebook);
    const sha256 = sha256Of(writeNotebook(notebook));
    return { notebook, warnings, sha256, isUnchanged: () => Promise.resolve(true) };
  }
  const source = await readSource(inputPath, maxBytes);
  if (outputPath !== undefined) await refuseSamePath(source, outputPath);
  const { notebook, warnings } = readNotebook(source.bytes, { maxBytes });
  return { notebook, warnings, sha256: source.sha256, isUnchanged: () => isUnchanged(source) };
}

function chooseKernel(wanted: string | undefined, notebook: Notebook): string {
  const language = languageOf(notebook) ?? '';
  const name = wanted ?? kernelNameOf(notebook) ?? shippedKernelOf[language];
  if (name === undefined) throw kernelMissing('', 'the notebook names no kernel; name one, e.g. "deno"');
  return name;
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
