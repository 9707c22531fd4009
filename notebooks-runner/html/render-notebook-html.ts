import { escapeMarkup } from '../../server/core/escape-markup.ts';
import { isJsonObject, type JsonObject } from '../nbformat/json-value.ts';
import { type Cell, type CodeCell, hasTag, type Notebook, type TextCell } from '../nbformat/notebook.ts';
import { markerTag } from '../run/error-markers.ts';
import { cutText, renderOutput } from './render-output.ts';
import { safeMarkdown } from './safe-html.ts';

/** What a page of a notebook may do: show itself. To be sent as the header `Content-Security-Policy` too. */
export const notebookPagePolicy =
  "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const style = `body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f;background:#fff}
pre{font:13px/1.45 ui-monospace,monospace;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere;margin:.4rem 0}
.code{border-left:3px solid #9aa4b2;padding-left:.8rem;margin:1rem 0}.code>.source{background:#f4f5f7;padding:.6rem}
.code.failed,.code.timed_out,.code.killed,.code.cancelled{border-color:#c62828}.code.succeeded{border-color:#2e7d32}
.code.not_run,.code.skipped,.code.pending{opacity:.6}.stderr{background:#fff4e5;padding:.4rem}.error{background:#fdecea;padding:.6rem}
.state{font-size:12px;color:#5b6470}table{border-collapse:collapse}th,td{border:1px solid #d0d5dd;padding:.2rem .5rem}img{max-width:100%}
.failure{background:#fdecea;padding:.6rem 1rem}`;

interface NotebookPageOptions {
  /** Default `Notebook`. */
  readonly title?: string;
  /** No cell is rendered once there are more characters than this: the page is then too long, and not whole. */
  readonly maxLength?: number;
}

/**
 * A notebook as one page of HTML without scripts and without anything from elsewhere, whatever the notebook holds: text
 * and tables are sanitised, SVG is shown as a picture, other MIME types are left out. Failing cells have the anchor
 * `papermill-error-cell`, sources that the notebook hides (report mode) are folded.
 */
export function renderNotebookHtml(
  notebook: Notebook,
  { title = 'Notebook', maxLength = Number.POSITIVE_INFINITY }: NotebookPageOptions = {},
): string {
  let body = '';
  for (const cell of notebook.cells) if (body.length <= maxLength) body += `${renderCell(cell)}\n`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${escapeMarkup(metaPolicy())}"><meta name="referrer" content="no-referrer">
<title>${escapeMarkup(title)}</title><style>${style}</style></head><body>
${renderSummary(notebook.metadata)}
${body}
</body></html>
`;
}

/** `frame-ancestors` counts only in the header. */
function metaPolicy(): string {
  return notebookPagePolicy.replace(/; frame-ancestors [^;]*/, '');
}

function renderSummary(metadata: JsonObject): string {
  const own = metadata['showrunner'];
  if (!isJsonObject(own)) return '';
  const failure = own['failure'];
  const fault = isJsonObject(failure) ? `${String(failure['ename'])}: ${String(failure['evalue'])}` : '';
  const line = [own['status'], own['start_time'], own['end_time']]
    .filter((part) => typeof part === 'string')
    .join(' · ');
  return [
    `<p class="state">${escapeMarkup(line)}</p>`,
    fault === '' ? '' : `<p class="failure"><a href="#papermill-error-cell">${escapeMarkup(fault)}</a></p>`,
  ].join('');
}

function renderCell(cell: Cell): string {
  // The summary says the same.
  if (hasTag(cell, markerTag)) return '';
  if (cell.cell_type === 'code') return renderCode(cell);
  if (cell.cell_type === 'raw') return `<pre class="raw">${escapeMarkup(cell.source)}</pre>`;
  return `<div class="markdown">${safeMarkdown(cutText(cell.source), (src) => attachmentOf(cell, src))}</div>`;
}

const endedBadly = new Set(['failed', 'timed_out', 'killed', 'cancelled']);

function renderCode(cell: CodeCell): string {
  const own = cell.metadata['showrunner'];
  const status = isJsonObject(own) && typeof own['status'] === 'string' ? own['status'].replace(/\W/g, '') : '';
  const jupyter = cell.metadata['jupyter'];
  const source = `<pre class="source">${escapeMarkup(cell.source)}</pre>`;
  const isHidden = isJsonObject(jupyter) && jupyter['source_hidden'] === true;
  const anchor = endedBadly.has(status) ? ' id="papermill-error-cell"' : '';
  const label = `In [${cell.execution_count ?? ' '}]${status === '' || status === 'succeeded' ? '' : ` ${status}`}`;
  return `<div class="code ${status}"${anchor}><span class="state">${escapeMarkup(label)}</span>
${isHidden ? `<details><summary>source</summary>${source}</details>` : source}
${cell.outputs.map(renderOutput).join('\n')}</div>`;
}

/** The data URI of a picture that is attached to the cell, named `attachment:<file>`. */
function attachmentOf({ attachments }: TextCell, src: string): string | undefined {
  const name = /^attachment:(.+)$/.exec(src)?.[1];
  const bundle = name === undefined ? undefined : (attachments?.[name] ?? attachments?.[decodeName(name)]);
  if (!isJsonObject(bundle)) return undefined;
  const [mime, data] = Object.entries(bundle).find(([type]) => type.startsWith('image/')) ?? [];
  return typeof data === 'string' ? `data:${mime};base64,${data}` : undefined;
}

function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
