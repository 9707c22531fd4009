import { isJsonObject, type JsonObject, type JsonValue } from './json-value.ts';

/**
 * A notebook in memory: nbformat 4.5 with every multi-line text joined to one string.
 * Source: https://nbformat.readthedocs.io/en/latest/format_description.html
 */
export interface Notebook {
  readonly nbformat: 4;
  readonly nbformat_minor: number;
  readonly metadata: JsonObject;
  readonly cells: Cell[];
}

/** A cell that the kernel executes, with what it put out. */
export interface CodeCell {
  readonly cell_type: 'code';
  readonly id: string;
  readonly metadata: JsonObject;
  source: string;
  /** The kernel's number of the execution, from 1; null = never executed. */
  execution_count: number | null;
  outputs: Output[];
}

/** A cell that is only read, by people or by converters. */
export interface TextCell {
  readonly cell_type: 'markdown' | 'raw';
  readonly id: string;
  readonly metadata: JsonObject;
  source: string;
  /** File name → MIME bundle; markdown and raw cells only. */
  readonly attachments?: JsonObject;
}

/** Any cell of a notebook. */
export type Cell = CodeCell | TextCell;

/** Text that a cell wrote to one stream. */
export interface StreamOutput {
  readonly output_type: 'stream';
  /** `stdout` or `stderr`; kernels may name others. */
  readonly name: string;
  text: string;
}

/** MIME type → text, or any JSON for `application/json` and `*+json`. */
export type MimeBundle = Readonly<Record<string, JsonValue>>;

/** What a cell displayed: one thing in several formats. */
export interface DisplayOutput {
  readonly output_type: 'display_data';
  data: MimeBundle;
  metadata: JsonObject;
}

/** The value of the last expression of a cell. */
export interface ResultOutput {
  readonly output_type: 'execute_result';
  readonly execution_count: number | null;
  data: MimeBundle;
  metadata: JsonObject;
}

/** The exception that ended a cell. */
interface ErrorOutput {
  readonly output_type: 'error';
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: readonly string[];
}

/** Anything that a cell put out. */
export type Output = StreamOutput | DisplayOutput | ResultOutput | ErrorOutput;

/** The tags of a cell; empty when it has none. */
export function tagsOf(cell: Cell): readonly string[] {
  const tags = cell.metadata['tags'];
  return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [];
}

/** True when the cell carries the tag. */
export function hasTag(cell: Cell, tag: string): boolean {
  return tagsOf(cell).includes(tag);
}

/** True for MIME types whose value stays JSON instead of text. */
export function isJsonMime(mime: string): boolean {
  return mime === 'application/json' || (mime.startsWith('application/') && mime.endsWith('+json'));
}

/** The kernel name the notebook asks for, e.g. `deno`. */
export function kernelNameOf(notebook: Pick<Notebook, 'metadata'>): string | undefined {
  return textAt(notebook.metadata['kernelspec'], 'name');
}

/** The programming language the notebook says it is in, lower-case. */
export function languageOf(notebook: Notebook): string | undefined {
  const { language_info: info, kernelspec } = notebook.metadata as {
    language_info?: JsonValue;
    kernelspec?: JsonValue;
  };
  return (textAt(info, 'name') ?? textAt(kernelspec, 'language'))?.toLowerCase();
}

function textAt(value: JsonValue | undefined, key: string): string | undefined {
  const text = isJsonObject(value) ? value[key] : undefined;
  return typeof text === 'string' && text !== '' ? text : undefined;
}
