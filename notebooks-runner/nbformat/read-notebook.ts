import { notebookInvalid } from '../errors.ts';
import { isDeeperThan, isJsonObject } from './json-value.ts';
import type { Notebook } from './notebook.ts';
import { readCell } from './read-cell.ts';
import { upgradeCells } from './upgrade-cells.ts';

interface NotebookLimits {
  /** Largest document, in bytes of UTF-8. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Default 10,000. */
  readonly maxCells?: number;
}

/** A notebook and what was repaired while reading it. */
export interface ReadNotebook {
  readonly notebook: Notebook;
  /** One sentence per repair, e.g. `cells[2]: duplicate id "a" replaced`. */
  readonly warnings: readonly string[];
}

const maxDepth = 100;

/**
 * Reads, checks and upgrades an nbformat 4.x document to 4.5 (cell ids appear, texts become one string).
 * Throws NOTEBOOK_INVALID with the path of the first fault.
 */
export function readNotebook(document: Uint8Array | string, limits: NotebookLimits = {}): ReadNotebook {
  const maxBytes = limits.maxBytes ?? 67_108_864;
  const size = typeof document === 'string' ? Buffer.byteLength(document) : document.byteLength;
  if (size > maxBytes) throw notebookInvalid('', `has ${size} bytes, over the limit of ${maxBytes}`);
  return checkNotebook(parseJson(document), limits);
}

/** As readNotebook, for a document that is already parsed. The given value is not changed. */
export function checkNotebook(value: unknown, limits: NotebookLimits = {}): ReadNotebook {
  if (!isJsonObject(value)) throw notebookInvalid('', 'must be a JSON object');
  if (isDeeperThan(value, maxDepth)) throw notebookInvalid('', `nests deeper than ${maxDepth} levels`);
  const minor = checkVersion(value['nbformat'], value['nbformat_minor']);
  const metadata = value['metadata'];
  if (!isJsonObject(metadata)) throw notebookInvalid('metadata', 'must be an object');
  const list = value['cells'];
  if (!Array.isArray(list)) throw notebookInvalid('cells', 'must be a list');
  const maxCells = limits.maxCells ?? 10_000;
  if (list.length > maxCells) throw notebookInvalid('cells', `has ${list.length} cells, over the limit of ${maxCells}`);
  const warnings: string[] = [];
  const drafts = list.map((cell, index) => readCell(cell, `cells[${index}]`, warnings));
  const cells = upgradeCells(drafts, warnings);
  const notebook: Notebook = {
    nbformat: 4,
    nbformat_minor: Math.max(minor, 5),
    metadata: structuredClone(metadata),
    cells,
  };
  return { notebook, warnings };
}

function parseJson(document: Uint8Array | string): unknown {
  let text: string;
  try {
    text = typeof document === 'string' ? document : new TextDecoder('utf-8', { fatal: true }).decode(document);
  } catch {
    throw notebookInvalid('', 'is not valid UTF-8');
  }
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (error) {
    throw notebookInvalid('', `is not valid JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function checkVersion(major: unknown, minor: unknown): number {
  if (!Number.isInteger(major)) throw notebookInvalid('nbformat', 'must be an integer');
  if (major !== 4)
    throw notebookInvalid('nbformat', `is ${major}; only version 4 is read, convert it with Jupyter first`);
  if (typeof minor !== 'number' || !Number.isInteger(minor) || minor < 0) {
    throw notebookInvalid('nbformat_minor', 'must be an integer of 0 or more');
  }
  return minor;
}
