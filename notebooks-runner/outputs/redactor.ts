import { overlap } from '../kernel/overlap.ts';
import { isJsonObject, type JsonValue } from '../nbformat/json-value.ts';

/** Replaces secrets in whatever a run shows, stores or logs. */
export interface Redactor {
  text(text: string): string;
  /** As `text`, for every text in a value, keys too. */
  value<T extends JsonValue>(value: T): T;
  /** For text that comes in pieces: an end that may be the beginning of a secret is held back. */
  stream(): RedactedStream;
}

/** One stream of text with its secrets replaced. What was pushed comes out in order, some of it later. */
export interface RedactedStream {
  /** The text that can be passed on. */
  push(text: string): string;
  /** What was held back. */
  rest(): string;
}

const same: RedactedStream = { push: (text) => text, rest: () => '' };

/** Passes everything on: for runs without secrets. */
export const noRedactor: Redactor = { text: (text) => text, value: (value) => value, stream: () => same };

/** Lines of a secret that are shorter are no secret by themselves. */
const minLineLength = 8;

/**
 * Redacts each secret (name → value) as `[secret NAME]`: as it is, as JSON, in a URL, in HTML, as base64, and line by
 * line. A notebook that means to give a secret away can still do so in other disguises; this is against accidents.
 */
export function createRedactor(secrets: Readonly<Record<string, string>>): Redactor {
  const marks = new Map<string, string>();
  for (const [name, value] of Object.entries(secrets)) {
    for (const form of formsOf(value)) if (!marks.has(form)) marks.set(form, `[secret ${name}]`);
  }
  if (marks.size === 0) return noRedactor;
  // The longest first, so that no part of it stays.
  const forms = [...marks.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(forms.map(escapePattern).join('|'), 'g');
  const text = (given: string) => given.replace(pattern, (form) => marks.get(form) ?? form);
  const value = (given: JsonValue): JsonValue => {
    if (typeof given === 'string') return text(given);
    if (typeof given === 'number') return numberOrMark(given, text);
    if (Array.isArray(given)) return given.map(value);
    if (!isJsonObject(given)) return given;
    return Object.fromEntries(Object.entries(given).map(([key, item]) => [text(key), value(item)]));
  };
  return {
    text,
    value: <T extends JsonValue>(given: T) => value(given) as T,
    stream: () => redactedStream(pattern, forms, text),
  };
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

/** A secret of digits may be shown as a number. */
function numberOrMark(given: number, text: (given: string) => string): JsonValue {
  const written = String(given);
  const kept = text(written);
  return kept === written ? given : kept;
}

function redactedStream(pattern: RegExp, forms: readonly string[], text: (given: string) => string): RedactedStream {
  let held = '';

  /** Where the end begins that the next piece may make a secret of: one that is not whole, or a longer one. */
  function openFrom(all: string): number {
    let from = 0;
    for (;;) {
      const rest = all.slice(from);
      const open = all.length - Math.max(...forms.map((form) => overlap(rest, form)));
      pattern.lastIndex = from;
      const whole = pattern.exec(all);
      if (whole === null || open <= whole.index) return open;
      from = whole.index + whole[0].length;
    }
  }

  return {
    push: (piece) => {
      const all = held + piece;
      const open = openFrom(all);
      held = all.slice(open);
      return text(all.slice(0, open));
    },
    rest: () => {
      const rest = text(held);
      held = '';
      return rest;
    },
  };
}

function formsOf(value: string): string[] {
  const lines = value.split(/\r?\n/).filter((line) => line.trim().length >= minLineLength);
  const plain = [value, ...(lines.length > 1 ? lines : [])];
  const disguised = plain.flatMap((text) => [
    JSON.stringify(text).slice(1, -1),
    ...urlForms(toWellFormed(text)),
    ...htmlForms(text),
    Buffer.from(text).toString('base64').replace(/=+$/, ''),
    Buffer.from(text).toString('base64url'),
  ]);
  return [...new Set([...plain, ...disguised])];
}

/** As JavaScript and as Python write it, the latter with and without slashes, and as a form is sent. */
function urlForms(text: string): string[] {
  const usual = encodeURIComponent(text);
  const hex = (mark: string) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`;
  const strict = usual.replace(/[!'()*]/g, hex);
  return [usual, strict, strict.replaceAll('%2F', '/'), strict.replaceAll('%20', '+')];
}

/** As most libraries write it: quotes may be left alone, or the apostrophe be one of two. */
function htmlForms(text: string): string[] {
  const bare = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  const quoted = bare.replaceAll('"', '&quot;');
  return [bare, quoted, quoted.replaceAll("'", '&#39;'), quoted.replaceAll("'", '&#x27;')];
}

function toWellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');
}
