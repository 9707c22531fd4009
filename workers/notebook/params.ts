import type { RunLimits } from '../../notebooks-runner/run/run-options.ts';
import { AppError, type FieldViolation, invalidFields } from '../../server/core/errors.ts';
import { checkObjectKey } from '../../server/stores/objects/object-key.ts';
import type { Json } from '../queue/job-kind.ts';
import { parseLimits } from './limits.ts';

/** A file that the notebook finds in its working directory. */
export interface NotebookInput {
  /** Object key. */
  readonly key: string;
  /** Relative path in the working directory, e.g. `predictions.csv`. */
  readonly as: string;
}

/** Parameters of a `notebook` job. */
export interface NotebookParams {
  /** `shipped/<name>` for a notebook of this repository, else an object key. */
  readonly notebook: string;
  /** Object key of the output notebook; empty = `notebooks/runs/<job>/output.ipynb`. */
  readonly outputKey: string;
  readonly parameters: { readonly [name: string]: Json };
  readonly inputs: readonly NotebookInput[];
  /** 0 = none. */
  readonly cellTimeoutMs: number;
  /** 0 = none but the job's own. */
  readonly runTimeoutMs: number;
  /** How long a cell may put nothing out; 0 = for ever. */
  readonly idleTimeoutMs: number;
  /** Hides the source of code cells in the output. */
  readonly report: boolean;
  /** Only cells with one of these tags run, and those of parameters; empty = all. */
  readonly onlyTags: readonly string[];
  /** Cells with one of these tags do not run. */
  readonly skipTags: readonly string[];
  /** First and last cell to run, by tag, id or position; empty = from the first, to the last. */
  readonly from: string;
  readonly until: string;
  /** Object key of the output of an earlier run of the same notebook that is resumed; empty = a run from the start. */
  readonly resumeFrom: string;
  /** Below those of any run. */
  readonly limits: RunLimits;
}

/** Notebooks of this repository are named with this prefix. */
export const shippedPrefix = 'shipped/';

const maxInputs = 100;
const maxTimeoutMs = 86_400_000;
const shippedName = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const fileSegment = /^[A-Za-z0-9_][A-Za-z0-9_. -]{0,199}$/;
const maxTags = 100;
const maxCellName = 200;
const known = [
  'notebook',
  'outputKey',
  'parameters',
  'inputs',
  'cellTimeoutMs',
  'runTimeoutMs',
  'idleTimeoutMs',
  'report',
  'onlyTags',
  'skipTags',
  'from',
  'until',
  'resumeFrom',
  'limits',
];

type Fields = { readonly [name: string]: Json };

/** Checks stored parameters; INVALID_FIELDS names every faulty one as `params.<name>`. */
export function parseNotebookParams(value: Json): NotebookParams {
  const faults: FieldViolation[] = [];
  const fault = (field: string, description: string) => faults.push({ field: `params${field}`, description });
  const given = isFields(value) ? value : {};
  if (!isFields(value)) fault('', 'must be an object');
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) fault(`.${name}`, `is not known; known: ${known.join(', ')}`);
  }
  const parameters = given['parameters'] ?? {};
  if (!isFields(parameters)) fault('.parameters', 'must be an object');
  const notebook = parseNotebook(given['notebook'], fault);
  const params: NotebookParams = {
    notebook,
    outputKey: parseOutputKey(given['outputKey'] ?? '', notebook, fault),
    parameters: isFields(parameters) ? parameters : {},
    inputs: parseInputs(given['inputs'] ?? [], fault),
    cellTimeoutMs: parseTimeout(given['cellTimeoutMs'] ?? 0, '.cellTimeoutMs', fault),
    runTimeoutMs: parseTimeout(given['runTimeoutMs'] ?? 0, '.runTimeoutMs', fault),
    idleTimeoutMs: parseTimeout(given['idleTimeoutMs'] ?? 0, '.idleTimeoutMs', fault),
    report: given['report'] === true,
    onlyTags: parseTags(given['onlyTags'] ?? [], '.onlyTags', fault),
    skipTags: parseTags(given['skipTags'] ?? [], '.skipTags', fault),
    from: parseCell(given['from'] ?? '', '.from', fault),
    until: parseCell(given['until'] ?? '', '.until', fault),
    resumeFrom: parseOutputKey(given['resumeFrom'] ?? '', notebook, fault, '.resumeFrom'),
    limits: parseLimits(given['limits'] ?? {}, fault),
  };
  if (typeof (given['report'] ?? false) !== 'boolean') fault('.report', 'must be true or false');
  if (faults.length > 0) throw invalidFields(faults);
  return params;
}

type Fault = (field: string, description: string) => void;

function isFields(value: Json | undefined): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseNotebook(value: Json | undefined, fault: Fault): string {
  if (typeof value !== 'string' || value === '') {
    fault('.notebook', 'must be an object key or "shipped/<name>"');
    return '';
  }
  if (!value.startsWith(shippedPrefix)) {
    checkKey(value, '.notebook', fault);
  } else if (!shippedName.test(value.slice(shippedPrefix.length))) {
    fault('.notebook', 'the name of a shipped notebook is lower-case letters, digits and "-"');
  }
  return value;
}

/** Outputs stay below `notebooks/`, so that a notebook job cannot replace titles or models. */
function parseOutputKey(value: Json, notebook: string, fault: Fault, field = '.outputKey'): string {
  if (value === '') return '';
  if (typeof value !== 'string' || !value.startsWith('notebooks/') || !value.endsWith('.ipynb')) {
    fault(field, 'must be an object key like "notebooks/….ipynb"');
    return '';
  }
  if (value === notebook) fault(field, 'must not be the source notebook');
  checkKey(value, field, fault);
  return value;
}

function parseTags(value: Json, field: string, fault: Fault): string[] {
  if (Array.isArray(value) && value.length <= maxTags && value.every((tag) => typeof tag === 'string' && tag !== '')) {
    return value.map(String);
  }
  fault(field, `must be a list of at most ${maxTags} tags`);
  return [];
}

function parseCell(value: Json, field: string, fault: Fault): string {
  if (typeof value === 'string' && value.length <= maxCellName) return value;
  fault(field, `must be the tag, id or position of a cell, as text of at most ${maxCellName} characters`);
  return '';
}

function parseInputs(value: Json, fault: Fault): NotebookInput[] {
  if (!Array.isArray(value) || value.length > maxInputs) {
    fault('.inputs', `must be a list of at most ${maxInputs} inputs`);
    return [];
  }
  const taken = new Set<string>();
  return value.flatMap((entry: Json, index): NotebookInput[] => {
    const path = `.inputs[${index}]`;
    const { key, as } = isFields(entry) ? entry : {};
    if (typeof key !== 'string' || typeof as !== 'string') {
      fault(path, 'must be {key, as}, both text');
      return [];
    }
    checkKey(key, `${path}.key`, fault);
    const segments = as.split('/');
    if (as.length > 400 || !segments.every((segment) => fileSegment.test(segment))) {
      fault(`${path}.as`, 'must be a relative path of letters, digits, "_", "-", "." and spaces, without "." and ".."');
    }
    if (taken.has(as)) fault(`${path}.as`, 'is taken by an earlier input');
    const isBelow = (path: string, other: string) => path.startsWith(`${other}/`);
    if ([...taken].some((other) => isBelow(as, other) || isBelow(other, as))) {
      fault(`${path}.as`, 'would be in a file, or a folder, where another input is a file');
    }
    taken.add(as);
    return [{ key, as }];
  });
}

function parseTimeout(value: Json, field: string, fault: Fault): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maxTimeoutMs) return value;
  fault(field, `must be a whole number of ms from 0 (none) to ${maxTimeoutMs}`);
  return 0;
}

function checkKey(key: string, field: string, fault: Fault): void {
  try {
    checkObjectKey(key);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    fault(field, error.fields[0]?.description ?? error.message);
  }
}
