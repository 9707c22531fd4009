import { isDeepStrictEqual } from 'node:util';
import type { Json } from '../../../workers/queue/job-kind.ts';
import { conditionInvalid } from '../job-errors.ts';
import { parsePath, readPath } from './read-path.ts';

/** A parsed condition: true or false of a scope. A path without a value counts as null. */
export interface Condition {
  readonly paths: readonly (readonly string[])[];
  holds(scope: Json): boolean;
}

type Node = (scope: Json) => Json;

const token =
  /\s*(?:(&&|\|\||==|!=|<=|>=|[<>!()])|("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?![\w.])|([A-Za-z_][\w.[\]-]*))/iy;
const maxChars = 1_000;
const maxDepth = 50;
const words: Readonly<Record<string, Json>> = { true: true, false: false, null: null };

/**
 * Parses `a.result.rmse < 0.9 && (b.state == "succeeded" || !params.strict)`: paths, numbers, texts in double quotes,
 * true, false, null, comparisons, `!`, `&&`, `||`, parentheses. Order comparisons hold between two numbers or two texts
 * only. Throws CONDITION_INVALID, which tells the place.
 */
export function parseCondition(text: string, field: string): Condition {
  if (text.length > maxChars) throw conditionInvalid(field, `must be at most ${maxChars} characters`);
  const tokens = tokenize(text, field);
  const paths: (readonly string[])[] = [];
  let at = 0;
  let depth = 0;
  const next = () => tokens[at];
  const fault = () => conditionInvalid(field, `"${next() ?? 'end'}" is not expected as part ${at + 1} of "${text}"`);

  const either = (): Node => {
    if (++depth > maxDepth) throw conditionInvalid(field, `must nest at most ${maxDepth} deep`);
    const terms = listOf('||', () => listOf('&&', comparison));
    depth--;
    return any(
      terms.map((all) => (scope: Json) => all.every((term) => isTrue(term(scope)))),
      terms,
    );
  };
  const listOf = <T>(separator: string, read: () => T): T[] => {
    const items = [read()];
    for (; next() === separator; ) {
      at++;
      items.push(read());
    }
    return items;
  };
  const comparison = (): Node => {
    const left = unary();
    const compare = comparisons[next() ?? ''];
    if (compare === undefined) return left;
    at++;
    const right = unary();
    return (scope) => compare(left(scope), right(scope));
  };
  const unary = (): Node => {
    let negations = 0;
    for (; next() === '!'; at++) negations++;
    const value = primary();
    return negations === 0 ? value : (scope) => isTrue(value(scope)) === (negations % 2 === 0);
  };
  const primary = (): Node => {
    const word = next();
    if (word === undefined) throw fault();
    if (word === '(') {
      at++;
      const inner = either();
      if (next() !== ')') throw fault();
      at++;
      return inner;
    }
    const value = literal(word);
    if (value !== undefined) {
      at++;
      return () => value;
    }
    const path = /^[A-Za-z_]/.test(word) ? parsePath(word) : undefined;
    if (path === undefined) throw fault();
    at++;
    paths.push(path);
    return (scope) => readPath(scope, path) ?? null;
  };

  const root = either();
  if (at < tokens.length) throw fault();
  return { paths, holds: (scope) => isTrue(root(scope)) };
}

/** One term stays the value it is, so that `(a.x) == 3` compares the value and not its truth. */
function any(alternatives: readonly ((scope: Json) => boolean)[], terms: readonly (readonly Node[])[]): Node {
  const [only] = terms.length === 1 && terms[0]?.length === 1 ? terms[0] : [];
  return only ?? ((scope) => alternatives.some((holds) => holds(scope)));
}

const comparisons: Readonly<Record<string, (a: Json, b: Json) => boolean>> = {
  '==': (a, b) => isDeepStrictEqual(a, b),
  '!=': (a, b) => !isDeepStrictEqual(a, b),
  '<': (a, b) => orderOf(a, b) < 0,
  '<=': (a, b) => orderOf(a, b) <= 0,
  '>': (a, b) => orderOf(a, b) > 0,
  '>=': (a, b) => orderOf(a, b) >= 0,
};

/** NaN, on which no comparison holds, unless both are numbers or both are texts. */
function orderOf(a: Json, b: Json): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'string' && typeof b === 'string') return a === b ? 0 : a < b ? -1 : 1;
  return Number.NaN;
}

function isTrue(value: Json): boolean {
  return value !== null && value !== false && value !== 0 && value !== '';
}

function literal(word: string): Json | undefined {
  if (word.startsWith('"')) {
    try {
      return JSON.parse(word) as string;
    } catch {
      return undefined;
    }
  }
  if (/^-?\d/.test(word)) return Number(word);
  return Object.hasOwn(words, word) ? words[word] : undefined;
}

function tokenize(text: string, field: string): string[] {
  const found: string[] = [];
  token.lastIndex = 0;
  for (let from = 0; text.slice(from).trim() !== ''; from = token.lastIndex) {
    token.lastIndex = from;
    const match = token.exec(text);
    if (match === null) throw conditionInvalid(field, `cannot be read from "${text.slice(from, from + 20)}" on`);
    found.push(match[0].trim());
  }
  if (found.length === 0) throw conditionInvalid(field, 'must not be empty');
  return found;
}
