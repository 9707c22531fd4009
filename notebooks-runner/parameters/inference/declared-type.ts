import type { ValueKind } from '../parameter-value.ts';
import { bracketStep, type Token } from './scan-tokens.ts';

/** What a declaration allows; `kinds` undefined = anything (the type is not known). */
export interface DeclaredType {
  readonly kinds: ReadonlySet<ValueKind> | undefined;
  /** The only allowed values, for unions of literals such as `"rmse" | "mae"`. */
  readonly choices: readonly (string | number)[] | undefined;
  /** True when numbers must be whole, as Python's `int`. */
  readonly isInteger?: boolean;
  /** True when numbers must be floats, as Python's `float`. */
  readonly isFloat?: boolean;
}

/** The type of what is not known. */
export const anything: DeclaredType = { kinds: undefined, choices: undefined };

/** A type of these kinds, any value of them. */
export function only(...kinds: ValueKind[]): DeclaredType {
  return { kinds: new Set(kinds), choices: undefined };
}

/** The type of an annotation, e.g. `string | null`, `number[]`; types that we do not know allow anything. */
export function typeOfAnnotation(tokens: readonly Token[]): DeclaredType {
  const kinds = new Set<ValueKind>();
  const choices: (string | number)[] = [];
  let isEnumerated = true;
  for (const member of splitUnion(tokens)) {
    const choice = literalOf(member);
    const kind = choice === undefined ? kindOfTypeMember(member) : kindOfLiteral(choice);
    if (kind === undefined) return anything;
    kinds.add(kind);
    if (choice !== undefined) choices.push(choice);
    else if (kind !== 'null') isEnumerated = false;
  }
  return { kinds, choices: isEnumerated && choices.length > 0 ? choices : undefined };
}

/** The type of a default value: known for literals, lists, objects and sums of numbers. */
export function typeOfValue(tokens: readonly Token[]): DeclaredType {
  const cast = tokens.findIndex((token, i) => i > 0 && token.kind === 'name' && /^(as|satisfies)$/.test(token.text));
  if (cast > 0 && depthIsZero(tokens, cast)) {
    const type = tokens.slice(cast + 1);
    return type[0]?.text === 'const' ? typeOfValue(tokens.slice(0, cast)) : typeOfAnnotation(type);
  }
  const [first] = tokens;
  if (first === undefined) return anything;
  if (first.text === '[' && closesAtEnd(tokens)) return only('list');
  if (first.text === '{' && closesAtEnd(tokens)) return only('object');
  if (tokens.length === 1) return typeOfToken(first);
  if (tokens.some((token) => token.kind === 'string' || token.kind === 'template') && isSumOf(tokens, 'string')) {
    return only('string');
  }
  if (!isSumOf(tokens, 'number')) return anything;
  return only(tokens.some((token) => token.kind === 'number' && isBigint(token)) ? 'bigint' : 'number');
}

/** True when the tokens are literals of one kind joined by arithmetic, e.g. `24 * 60 * 60` or `-1`. */
function isSumOf(tokens: readonly Token[], kind: 'number' | 'string'): boolean {
  const operators = kind === 'number' ? ['+', '-', '*', '/', '%', '**', '(', ')'] : ['+'];
  const isLiteral = (token: Token) =>
    kind === 'number' ? token.kind === 'number' : token.kind === 'string' || token.kind === 'template';
  return tokens.some(isLiteral) && tokens.every((token) => isLiteral(token) || operators.includes(token.text));
}

function typeOfToken(token: Token): DeclaredType {
  if (token.kind === 'string' || token.kind === 'template') return only('string');
  if (token.kind === 'number') return only(isBigint(token) ? 'bigint' : 'number');
  if (token.text === 'true' || token.text === 'false') return only('boolean');
  return token.text === 'NaN' || token.text === 'Infinity' ? only('number') : anything;
}

function isBigint(token: Token): boolean {
  return token.text.endsWith('n');
}

function splitUnion(tokens: readonly Token[]): Token[][] {
  const members: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (['(', '[', '{', '<'].includes(token.text)) depth++;
    if ([')', ']', '}', '>'].includes(token.text)) depth--;
    if (depth === 0 && token.text === '|') members.push([]);
    else members.at(-1)?.push(token);
  }
  return members.filter((member) => member.length > 0);
}

function kindOfTypeMember(member: readonly Token[]): ValueKind | undefined {
  const [first] = member;
  if (first === undefined) return undefined;
  // A function or conditional type may end like a list.
  if (member.some((token) => token.text === '=>' || token.text === '?')) return undefined;
  if (isListType(member)) return 'list';
  if (first.text === 'Record' && member.length > 1) return 'object';
  if (first.text === 'Date' && member.length === 1) return 'date';
  if (first.text === 'Uint8Array') return 'bytes';
  if (first.text === '{' && closesAtEnd(member)) return 'object';
  if (member.length !== 1) return undefined;
  if (first.text === 'null' || first.text === 'undefined') return 'null';
  if (first.text === 'true' || first.text === 'false') return 'boolean';
  const { text } = first;
  return text === 'string' || text === 'number' || text === 'bigint' || text === 'boolean' ? text : undefined;
}

/** `T[]`, `[A, B]`, `readonly T[]` and `Array<T>`; but `T["key"]` is the type of a property. */
function isListType(member: readonly Token[]): boolean {
  const [first, second] = member;
  const start = first?.text === 'readonly' ? second : first;
  if (start?.text === '[' && closesAtEnd(member.slice(member.indexOf(start)))) return true;
  if (member.at(-1)?.text === ']' && member.at(-2)?.text === '[') return true;
  return (start?.text === 'Array' || start?.text === 'ReadonlyArray') && member.at(-1)?.text === '>';
}

function literalOf(member: readonly Token[]): string | number | undefined {
  const [first] = member;
  if (member.length !== 1 || first === undefined) return undefined;
  if (first.kind === 'number' && !isBigint(first)) return Number(first.text.replaceAll('_', ''));
  if (first.kind !== 'string' || first.text.includes('\\')) return undefined;
  return first.text.slice(1, -1);
}

function kindOfLiteral(value: string | number): ValueKind {
  return typeof value === 'string' ? 'string' : 'number';
}

/** True when the bracket that opens first closes last, e.g. `{ a: 1 }` but not `[1] + [2]`. */
function closesAtEnd(tokens: readonly Token[]): boolean {
  let depth = 0;
  for (const [index, token] of tokens.entries()) {
    depth += bracketStep(token);
    if (depth === 0) return index === tokens.length - 1;
  }
  return false;
}

function depthIsZero(tokens: readonly Token[], end: number): boolean {
  return tokens.slice(0, end).reduce((depth, token) => depth + bracketStep(token), 0) === 0;
}
