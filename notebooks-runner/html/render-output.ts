import { stripVTControlCharacters } from 'node:util';
import { escapeMarkup } from '../../server/core/escape-markup.ts';
import type { JsonValue } from '../nbformat/json-value.ts';
import type { MimeBundle, Output } from '../nbformat/notebook.ts';
import { safeHtml, safeMarkdown } from './safe-html.ts';

/** Longest text of one output on a page. */
const maxCharacters = 1_048_576;

const picture = /^image\/(?:png|jpeg|gif|webp)$/;

/** How each MIME type is shown, best first; what is not listed is not shown. */
const renderers: readonly (readonly [mime: RegExp, render: (value: JsonValue, mime: string) => string | undefined])[] =
  [
    [/^text\/html$/, (value) => `<div class="html">${safeHtml(cut(textOf(value)))}</div>`],
    [/^image\/svg\+xml$/, (value) => image('image/svg+xml', Buffer.from(textOf(value)).toString('base64'))],
    [picture, (value, mime) => image(mime, textOf(value).replace(/\s/g, ''))],
    [/^text\/markdown$/, (value) => safeMarkdown(cut(textOf(value)))],
    [/^text\/latex$/, (value) => pre(textOf(value), 'latex')],
    [/^text\/plain$/, (value) => pre(textOf(value), 'plain')],
    [/^application\/(?:json|.*\+json)$/, (value) => pre(JSON.stringify(value, null, 2), 'json')],
  ];

/** One output as safe HTML; empty for one that cannot be shown. */
export function renderOutput(output: Output): string {
  switch (output.output_type) {
    case 'stream':
      return pre(output.text, output.name === 'stderr' ? 'stderr' : 'stdout');
    case 'error':
      return pre(output.traceback.join('\n') || `${output.ename}: ${output.evalue}`, 'error');
    default:
      return renderBundle(output.data);
  }
}

function renderBundle(data: MimeBundle): string {
  for (const [pattern, render] of renderers) {
    for (const [mime, value] of Object.entries(data)) {
      const html = pattern.test(mime) ? render(value, mime) : undefined;
      if (html !== undefined) return html;
    }
  }
  return '';
}

function pre(text: string, kind: string): string {
  return `<pre class="${kind}">${escapeMarkup(cut(asPrinted(text)))}</pre>`;
}

/** What a terminal would show: no colours, and of a line that was overwritten only the last state. */
function asPrinted(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/^[^\n]*\r(?=[^\n\r])/gm, '')
    .replaceAll('\r\n', '\n');
}

function image(mime: string, base64: string): string | undefined {
  return /^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? `<img alt="" src="data:${mime};base64,${base64}">` : undefined;
}

function textOf(value: JsonValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function cut(text: string): string {
  return text.length <= maxCharacters
    ? text
    : `${text.slice(0, maxCharacters)}\n[cut: ${text.length - maxCharacters} more characters]`;
}
