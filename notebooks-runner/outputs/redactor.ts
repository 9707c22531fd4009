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
 * Redacts each secret (name → value) as `[secret NAME]`: as it is, as JSON, in a URL, as base64, and line by line.
 * A notebook that means to give a secret away can still do so in other disguises; this is against accidents.
 */
export function createRedactor(secrets: Readonly<Record<string, string>>): Redactor {
  const forms = Object.entries(secrets)
    .flatMap(([name, value]) => formsOf(value).map((form) => [form, `[secret ${name}]`] as const))
    // The longest first, so that no part of it stays.
    .sort(([a], [b]) => b.length - a.length);
  if (forms.length === 0) return noRedactor;
  const text = (given: string) => forms.reduce((kept, [form, mark]) => kept.replaceAll(form, mark), given);
  const value = (given: JsonValue): JsonValue => {
    if (typeof given === 'string') return text(given);
    if (Array.isArray(given)) return given.map(value);
    if (!isJsonObject(given)) return given;
    return Object.fromEntries(Object.entries(given).map(([key, item]) => [text(key), value(item)]));
  };
  return {
    text,
    value: <T extends JsonValue>(given: T) => value(given) as T,
    stream: () => {
      let held = '';
      return {
        push: (piece) => {
          const all = text(held + piece);
          const keep = Math.max(...forms.map(([form]) => overlap(all, form)));
          held = keep === 0 ? '' : all.slice(-keep);
          return keep === 0 ? all : all.slice(0, -keep);
        },
        rest: () => {
          const rest = held;
          held = '';
          return rest;
        },
      };
    },
  };
}

function formsOf(value: string): string[] {
  const lines = value.split(/\r?\n/).filter((line) => line.trim().length >= minLineLength);
  const plain = [value, ...(lines.length > 1 ? lines : [])];
  const disguised = plain.flatMap((text) => [
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(toWellFormed(text)),
    Buffer.from(text).toString('base64').replace(/=+$/, ''),
    Buffer.from(text).toString('base64url'),
  ]);
  return [...new Set([...plain, ...disguised])];
}

function toWellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');
}
