import type { Json } from '../../../workers/queue/job-kind.ts';
import { referenceInvalid, referenceUnknown } from '../job-errors.ts';
import { parsePath, readPath } from './read-path.ts';

/** `$${` stands for a plain `${`. */
const reference = /\$?\$\{([^{}]{0,200})\}/g;

/**
 * Replaces references `${path}` in every text of a value by what the scope holds there. A text that is nothing but one
 * reference becomes the value itself, whatever its type; within a longer text values are written out (objects as
 * JSON). Nothing is evaluated. Throws REFERENCE_INVALID, REFERENCE_UNKNOWN; both name `field`.
 */
export function resolveReferences(value: Json, scope: Json, field: string): Json {
  return mapTexts(value, field, (text, at) => resolveText(text, scope, at));
}

/** Every path that a value refers to, with the field that does. Throws REFERENCE_INVALID. */
export function findReferences(value: Json, field: string): { readonly path: readonly string[]; field: string }[] {
  const found: { path: readonly string[]; field: string }[] = [];
  mapTexts(value, field, (text, at) => {
    for (const [whole, path = ''] of text.matchAll(reference)) {
      if (!whole.startsWith('$$')) found.push({ path: pathOf(path, at), field: at });
    }
    return text;
  });
  return found;
}

function mapTexts(value: Json, field: string, map: (text: string, field: string) => Json): Json {
  if (typeof value === 'string') return map(value, field);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item: Json, index) => mapTexts(item, `${field}[${index}]`, map));
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, mapTexts(member as Json, `${field}.${key}`, map)]),
  );
}

function resolveText(text: string, scope: Json, field: string): Json {
  const only = /^\$\{([^{}]{0,200})\}$/.exec(text)?.[1];
  if (only !== undefined) return lookUp(only, scope, field);
  return text.replaceAll(reference, (whole: string, path: string) => {
    if (whole.startsWith('$$')) return whole.slice(1);
    const value = lookUp(path, scope, field);
    return typeof value === 'string' ? value : JSON.stringify(value);
  });
}

function lookUp(text: string, scope: Json, field: string): Json {
  const value = readPath(scope, pathOf(text, field));
  if (value === undefined) throw referenceUnknown(field, text);
  return value;
}

function pathOf(text: string, field: string): readonly string[] {
  const path = parsePath(text);
  if (path === undefined) throw referenceInvalid(field, text);
  return path;
}
