import { notebookInvalid } from '../errors.ts';
import { isJsonObject, type JsonObject } from './json-value.ts';
import type { CodeCell, TextCell } from './notebook.ts';
import { readBundle, readOutput } from './read-output.ts';
import { joinText } from './text-lines.ts';

/** A cell as read: documents before 4.5 have no ids. */
export type CellDraft = (Omit<CodeCell, 'id'> | Omit<TextCell, 'id'>) & { readonly id?: string };

const idPattern = /^[a-zA-Z0-9_-]{1,64}$/;
const knownKeys = new Set(['attachments', 'cell_type', 'execution_count', 'id', 'metadata', 'outputs', 'source']);

/** Checks one cell; `path` is e.g. `cells[3]`. Unknown keys are dropped with a warning, as 4.5 forbids them. */
export function readCell(value: unknown, path: string, warnings: string[]): CellDraft {
  if (!isJsonObject(value)) throw notebookInvalid(path, 'must be an object');
  for (const key of Object.keys(value)) if (!knownKeys.has(key)) warnings.push(`${path}: unknown key "${key}" dropped`);
  const type = value['cell_type'];
  if (type !== 'code' && type !== 'markdown' && type !== 'raw') {
    throw notebookInvalid(`${path}.cell_type`, 'must be "code", "markdown" or "raw"');
  }
  const common = {
    ...readId(value['id'], path),
    metadata: readCellMetadata(value['metadata'], path, warnings),
    source: joinText(value['source'], `${path}.source`),
  };
  if (type === 'code') return { ...common, cell_type: type, ...readExecution(value, path, warnings) };
  const attachments = value['attachments'];
  if (attachments === undefined) return { ...common, cell_type: type };
  if (!isJsonObject(attachments)) throw notebookInvalid(`${path}.attachments`, 'must be an object');
  return { ...common, cell_type: type, attachments: readAttachments(attachments, `${path}.attachments`) };
}

function readId(id: unknown, path: string): { id?: string } {
  if (id === undefined) return {};
  if (typeof id !== 'string' || !idPattern.test(id)) {
    throw notebookInvalid(`${path}.id`, 'must be 1 to 64 of letters, digits, "-" and "_"');
  }
  return { id };
}

function readCellMetadata(metadata: unknown, path: string, warnings: string[]): JsonObject {
  if (!isJsonObject(metadata)) throw notebookInvalid(`${path}.metadata`, 'must be an object');
  const tags = metadata['tags'];
  if (tags !== undefined && (!Array.isArray(tags) || tags.some((tag) => typeof tag !== 'string'))) {
    throw notebookInvalid(`${path}.metadata.tags`, 'must be a list of strings');
  }
  const copy = structuredClone(metadata);
  if (tags === undefined) return copy;
  // Nbformat knows no tag twice and none with a comma, by which Jupyter separates them where they are typed.
  const repaired = [...new Set(tags.flatMap((tag) => String(tag).split(',')).map((tag) => tag.trim()))].filter(Boolean);
  if (repaired.join() !== tags.join()) warnings.push(`${path}.metadata.tags: repaired to ${repaired.join(', ')}`);
  return { ...copy, tags: repaired };
}

function readAttachments(value: JsonObject, path: string): JsonObject {
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, readBundle(item, `${path}["${name}"]`)]),
  );
}

function readExecution(
  cell: JsonObject,
  path: string,
  warnings: string[],
): Pick<CodeCell, 'execution_count' | 'outputs'> {
  const count = cell['execution_count'] ?? null;
  if (count !== null && (typeof count !== 'number' || !Number.isInteger(count) || count < 0)) {
    throw notebookInvalid(`${path}.execution_count`, 'must be null or an integer of 0 or more');
  }
  const outputs = cell['outputs'];
  if (!Array.isArray(outputs)) throw notebookInvalid(`${path}.outputs`, 'must be a list');
  return {
    execution_count: count,
    outputs: outputs.map((output, index) => readOutput(output, `${path}.outputs[${index}]`, warnings)),
  };
}
