import { isJsonObject } from '../nbformat/json-value.ts';
import type { CodeCell } from '../nbformat/notebook.ts';
import type { Scrap } from './run-record.ts';

const scrapMime = /^application\/scrapbook\.scrap\.([a-z0-9_-]+)\+json$/i;

/**
 * The scraps a cell displayed: outputs of MIME type `application/scrapbook.scrap.<encoder>+json` with the content
 * {name, data, encoder, version}. Malformed ones are named in `warnings`.
 * Source: https://nteract-scrapbook.readthedocs.io/en/latest/models.html
 */
export function scrapsOf(cell: CodeCell, cellIndex: number, warnings: string[]): Scrap[] {
  const found: Scrap[] = [];
  for (const output of cell.outputs) {
    if (output.output_type !== 'display_data' && output.output_type !== 'execute_result') continue;
    for (const [mime, content] of Object.entries(output.data)) {
      const encoder = scrapMime.exec(mime)?.[1];
      if (encoder === undefined) continue;
      const name = isJsonObject(content) ? content['name'] : undefined;
      if (!isJsonObject(content) || typeof name !== 'string' || name === '' || content['data'] === undefined) {
        warnings.push(`cells[${cellIndex}]: a scrap without name or data was ignored`);
        continue;
      }
      found.push({ name, data: content['data'], encoder, cellIndex });
    }
  }
  return found;
}
