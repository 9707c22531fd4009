import { escapeMarkup } from '../../server/core/escape-markup.ts';
import type { JsonValue } from '../nbformat/json-value.ts';
import type { MimeBundle, Output } from '../nbformat/notebook.ts';
import { safeHtml, safeMarkdown } from './safe-html.ts';

/** Longest text of one output or cell on a page. */
const maxCharacters = 1_048_576;

const picture = /^image\/(?:png|jpeg|gif|webp)$/;

/** How each MIME type is shown, best first; what is not listed is not shown. */
const renderers: readonly (readonly [mime: RegExp, render: (value: JsonValue, mime: string) => string | undefined])[] =
  [
    [/^text\/html$/, (value) => `<div class="html">${safeHtml(cutText(textOf(value)))}</div>`],
    [/^image\/svg\+xml$/, (value) => image('image/svg+xml', Buffer.from(textOf(value)).toString('base64'))],
    [picture, (value, mime) => image(mime, textOf(value).replace(/\s/g, ''))],
    [/^text\/markdown$/, (value) => safeMarkdown(cutText(textOf(value)))],
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
  return `<pre class="${kind}">${escapeMarkup(cutText(asPrinted(text)))}</pre>`;
}

/**
 * Sequences of a terminal: colours and cursor, titles and links, short ones. No part of it takes an escape, so that the
 * time is linear in the text, which it is not by Node's own pattern.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const sequences = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;

/** What a terminal would show: no colours, and of a line that was overwritten only the last state. */
function asPrinted(text: string): string {
  return text.replace(sequences, '').split('\n').map(lastState).join('\n');
}

function lastState(line: string): string {
  let end = line.length;
  while (line[end - 1] === '\r') end--;
  return line.slice(line.lastIndexOf('\r', end - 1) + 1, end);
}

function image(mime: string, base64: string): string | undefined {
  return /^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? `<img alt="" src="data:${mime};base64,${base64}">` : undefined;
}

function textOf(value: JsonValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The beginning of a text that is too long for a page, and how much is missing. */
export function cutText(text: string): string {
  return text.length <= maxCharacters
    ? text
    : `${text.slice(0, maxCharacters)}\n[cut: ${text.length - maxCharacters} more characters]`;
}
