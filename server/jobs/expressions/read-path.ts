import type { Json } from '../../../workers/queue/job-kind.ts';

const first = /^[A-Za-z0-9_-]+/;
const further = /^(?:\.([A-Za-z0-9_-]+)|\[(\d{1,6})\])/;
const maxSegments = 20;

/** The segments of a path such as `train.result.keys[0]`; undefined when it is not one. At most 20 segments. */
export function parsePath(text: string): readonly string[] | undefined {
  const head = first.exec(text)?.[0];
  if (head === undefined) return undefined;
  const segments = [head];
  for (let rest = text.slice(head.length); rest !== ''; ) {
    const match = further.exec(rest);
    if (match === null || segments.length === maxSegments) return undefined;
    segments.push(match[1] ?? match[2] ?? '');
    rest = rest.slice(match[0].length);
  }
  return segments;
}

/** The value at a path; undefined where there is none. Own members only: nothing of a prototype can be reached. */
export function readPath(root: Json, path: readonly string[]): Json | undefined {
  let at: Json | undefined = root;
  for (const name of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined;
    if (Array.isArray(at) && !/^\d+$/.test(name)) return undefined;
    at = (at as { readonly [key: string]: Json })[name];
  }
  return at;
}
