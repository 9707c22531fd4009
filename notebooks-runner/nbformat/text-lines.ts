import { notebookInvalid } from '../errors.ts';

/** Joins nbformat's multi-line text (a string or a list of strings); throws NOTEBOOK_INVALID at `path`. */
export function joinText(value: unknown, path: string): string {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) throw notebookInvalid(path, 'must be a string or a list of strings');
  for (const [index, line] of value.entries()) {
    if (typeof line !== 'string') throw notebookInvalid(`${path}[${index}]`, 'must be a string');
  }
  return value.join('');
}

/** Splits text into lines that keep their newline, as Jupyter stores it; the empty text gives no line. */
export function splitText(text: string): string[] {
  return text === '' ? [] : text.split(/(?<=\n)/);
}
