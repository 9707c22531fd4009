import type { Expectation } from './page.ts';

/** Stands for anything in an expectation: a whole value, or a part of a text. */
const anything = '…';

/** Faults of an output against an expectation; empty = it holds. */
export function faultsOf({ form, body }: Expectation, output: string): string[] {
  return form === 'json' ? jsonFaults(body, output) : textFaults(body, output);
}

function textFaults(body: string, output: string): string[] {
  const lines = output.split('\n').map((line) => line.trim());
  const wanted = body.split('\n').map((line) => line.trim());
  return wanted.filter((line) => !lines.some((found) => isLike(line, found))).map((line) => `no line like: ${line}`);
}

/** Each expected document must be matched by a printed one, in order. */
function jsonFaults(body: string, output: string): string[] {
  const printed = documentsOf(output);
  const faults: string[] = [];
  let next = 0;
  for (const wanted of documentsOf(body)) {
    const found = printed.findIndex((document, index) => index >= next && differenceOf(wanted, document) === undefined);
    if (found >= 0) next = found + 1;
    else {
      const [nearest] = printed.slice(next).map((document) => differenceOf(wanted, document));
      faults.push(`no document like ${JSON.stringify(wanted)}: ${nearest ?? 'nothing more was printed'}`);
    }
  }
  return faults;
}

/** JSON documents that begin and end at the left margin. */
function documentsOf(text: string): unknown[] {
  const found = text.match(/^\{.*\}$|^\{\n[\s\S]*?^\}$/gm) ?? [];
  return found.map((document) => JSON.parse(document) as unknown);
}

/** Where `found` is not what was wanted; undefined = every wanted member is there. More members are allowed. */
function differenceOf(wanted: unknown, found: unknown, path = '$'): string | undefined {
  if (wanted === anything) return found === undefined ? `${path} is absent` : undefined;
  if (typeof wanted === 'string' && typeof found === 'string') {
    return isLike(wanted, found) ? undefined : `${path} is ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`;
  }
  if (Array.isArray(wanted)) return listDifference(wanted, found, path);
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof found !== 'object' || found === null) return `${path} is ${JSON.stringify(found)}, not an object`;
    for (const [name, value] of Object.entries(wanted)) {
      const difference = differenceOf(value, Reflect.get(found, name), `${path}.${name}`);
      if (difference !== undefined) return difference;
    }
    return undefined;
  }
  return wanted === found ? undefined : `${path} is ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`;
}

/** Wanted entries must be there in order; `"…"` stands for any number of others, without it there may be none. */
function listDifference(wanted: readonly unknown[], found: unknown, path: string): string | undefined {
  if (!Array.isArray(found)) return `${path} is ${JSON.stringify(found)}, not a list`;
  const entries = wanted.filter((entry) => entry !== anything);
  if (entries.length === wanted.length && found.length !== wanted.length) {
    return `${path} has ${found.length} entries, not ${wanted.length}`;
  }
  let next = 0;
  for (const [index, entry] of entries.entries()) {
    const place = found.findIndex((value, at) => at >= next && differenceOf(entry, value) === undefined);
    if (place < 0) return `${path} has no entry ${index} like ${JSON.stringify(entry)}`;
    next = place + 1;
  }
  return undefined;
}

function isLike(wanted: string, found: string): boolean {
  const parts = wanted.split(anything).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(found);
}
