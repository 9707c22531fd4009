import { isJsonObject, type JsonValue } from './json-value.ts';
import { type Cell, isJsonMime, type MimeBundle, type Notebook, type Output } from './notebook.ts';
import { splitText } from './text-lines.ts';

/** The document as Jupyter writes it: keys sorted, texts as lists of lines, indent 1, newline at the end. */
export function writeNotebook(notebook: Notebook): string {
  const document = {
    cells: notebook.cells.map(cellToJson),
    metadata: notebook.metadata,
    nbformat: notebook.nbformat,
    nbformat_minor: notebook.nbformat_minor,
  };
  return `${JSON.stringify(document, sortKeys, 1)}\n`;
}

function sortKeys(_key: string, value: unknown): unknown {
  return isJsonObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;
}

function cellToJson(cell: Cell): object {
  const { cell_type, id, metadata } = cell;
  const source = splitText(cell.source);
  if (cell.cell_type !== 'code') {
    return { ...(cell.attachments ? { attachments: cell.attachments } : {}), cell_type, id, metadata, source };
  }
  const outputs = cell.outputs.map(outputToJson);
  return { cell_type, execution_count: cell.execution_count, id, metadata, outputs, source };
}

function outputToJson(output: Output): object {
  switch (output.output_type) {
    case 'stream':
      return { name: output.name, output_type: output.output_type, text: splitText(output.text) };
    case 'error':
      return output;
    case 'display_data':
      return { data: bundleToJson(output.data), metadata: output.metadata, output_type: output.output_type };
    case 'execute_result': {
      const { execution_count, metadata, output_type } = output;
      return { data: bundleToJson(output.data), execution_count, metadata, output_type };
    }
  }
}

function bundleToJson(bundle: MimeBundle): Record<string, JsonValue> {
  const entries = Object.entries(bundle).map(([mime, value]): [string, JsonValue] => [
    mime,
    typeof value === 'string' && !isJsonMime(mime) ? splitText(value) : value,
  ]);
  return Object.fromEntries(entries);
}
