import type { ValueKind } from '../parameter-value.ts';
import { anything, type DeclaredType, only } from './declared-type.ts';
import { type PythonToken, scanPython } from './scan-python.ts';

const whole: DeclaredType = { kinds: new Set<ValueKind>(['number', 'bigint']), choices: undefined, isInteger: true };
const real: DeclaredType = { kinds: whole.kinds, choices: undefined, isFloat: true };
/** Brackets in brackets that are looked into. */
const maxNesting = 20;

const namedTypes: Readonly<Record<string, DeclaredType>> = {
  str: only('string'),
  int: whole,
  float: real,
  bool: only('boolean'),
  bytes: only('bytes'),
  bytearray: only('bytes'),
  None: only('null'),
  datetime: only('date'),
  date: only('date'),
  list: only('list'),
  List: only('list'),
  Sequence: only('list'),
  tuple: only('list'),
  Tuple: only('list'),
  set: only('list'),
  Set: only('list'),
  frozenset: only('list'),
  dict: only('object'),
  Dict: only('object'),
  Mapping: only('object'),
};

/** The type of an annotation, e.g. `str | None`, `Optional[list[int]]`, `Literal["a", "b"]`; others allow anything. */
export function typeOfPythonAnnotation(tokens: readonly PythonToken[], nesting = 0): DeclaredType {
  if (nesting > maxNesting) return anything;
  return union(splitAt(tokens, '|').map((member) => typeOfMember(member, nesting + 1)));
}

function typeOfMember(tokens: readonly PythonToken[], nesting: number): DeclaredType {
  const [first] = tokens;
  if (first === undefined) return anything;
  if (first.kind === 'string' && tokens.length === 1) {
    const quoted = scanPython(first.text.replace(/^\w*(?:"""|'''|"|')|(?:"""|'''|"|')$/g, ''))?.[0];
    return quoted === undefined ? anything : typeOfPythonAnnotation(quoted.tokens, nesting);
  }
  const path = tokens.findIndex((token, i) => (i % 2 === 0 ? token.kind !== 'name' : token.text !== '.'));
  const end = path < 0 ? tokens.length : path;
  const name = tokens[end - 1]?.text ?? '';
  if (end === tokens.length) return namedType(name);
  if (tokens[end]?.text !== '[' || !closesAtEnd(tokens.slice(end))) return anything;
  const parts = splitAt(tokens.slice(end + 1, -1), ',').filter((part) => part.length > 0);
  if (name === 'Optional') return union([...parts.map((part) => typeOfPythonAnnotation(part, nesting)), only('null')]);
  if (name === 'Union') return union(parts.map((part) => typeOfPythonAnnotation(part, nesting)));
  if (name === 'Literal') return literalType(parts);
  if (name === 'Annotated' || name === 'Final') return typeOfPythonAnnotation(parts[0] ?? [], nesting);
  return namedType(name);
}

function namedType(name: string): DeclaredType {
  return (Object.hasOwn(namedTypes, name) ? namedTypes[name] : undefined) ?? anything;
}

function literalType(parts: readonly (readonly PythonToken[])[]): DeclaredType {
  const choices: (string | number)[] = [];
  const kinds = new Set<ValueKind>();
  for (const [token, ...rest] of parts) {
    if (token === undefined || rest.length > 0) return anything;
    if (token.kind === 'string' && !token.text.includes('\\') && /^["'](?!["'])/.test(token.text)) {
      choices.push(token.text.slice(1, -1));
      kinds.add('string');
    } else if (token.kind === 'number') {
      choices.push(Number(token.text.replaceAll('_', '')));
      kinds.add('number');
    } else if (token.text === 'None') kinds.add('null');
    else return anything;
  }
  return { kinds, choices };
}

/** What any of the types allows. */
function union(types: readonly DeclaredType[]): DeclaredType {
  const [first] = types;
  if (first !== undefined && types.length === 1) return first;
  const kinds = new Set<ValueKind>();
  for (const type of types) {
    if (type.kinds === undefined) return anything;
    for (const kind of type.kinds) kinds.add(kind);
  }
  const given = types.filter((type) => !(type.kinds?.size === 1 && type.kinds.has('null')));
  const isEnumerated = given.every((type) => type.choices !== undefined);
  const numeric = types.filter((type) => type.kinds?.has('number') === true);
  return {
    kinds,
    choices: isEnumerated ? given.flatMap((type) => type.choices ?? []) : undefined,
    ...(numeric.length > 0 && numeric.every((type) => type.isInteger === true) ? { isInteger: true } : {}),
    ...(numeric.length > 0 && numeric.every((type) => type.isFloat === true) ? { isFloat: true } : {}),
  };
}

/** The type of a default value: known for literals, containers, arithmetic of numbers and calls of built-in types. */
export function typeOfPythonValue(tokens: readonly PythonToken[], nesting = 0): DeclaredType {
  const [first] = tokens;
  if (first === undefined || nesting > maxNesting) return anything;
  if (first.kind === 'mark' && '([{'.includes(first.text) && closesAtEnd(tokens)) return typeOfBracket(tokens, nesting);
  if (tokens.length === 1 && (first.text === 'True' || first.text === 'False')) return only('boolean');
  const isJoined = (kind: PythonToken['kind'][]) =>
    kind.includes(first.kind) && tokens.every((token) => kind.includes(token.kind) || token.text === '+');
  if (isJoined(['string', 'format'])) return only('string');
  if (isJoined(['bytes'])) return only('bytes');
  if (first.kind === 'name') return typeOfCall(tokens);
  return typeOfSum(tokens);
}

function typeOfBracket(tokens: readonly PythonToken[], nesting: number): DeclaredType {
  const inner = tokens.slice(1, -1);
  if (tokens[0]?.text === '[') return only('list');
  const has = (text: string) => splitAt(inner, text).length > 1;
  if (tokens[0]?.text === '{')
    return only(inner.length === 0 || has(':') || inner[0]?.text === '**' ? 'object' : 'list');
  return inner.length === 0 || has(',') ? only('list') : typeOfPythonValue(inner, nesting + 1);
}

/** Calls that give a moment or a day, by either way to import them; others of that module give times, spans or text. */
const datetimeCall =
  /^(?:datetime\.)?(?:datetime|date)(?:\.(?:now|utcnow|today|strptime|combine|from\w+|utcfromtimestamp))?$/;

function typeOfCall(tokens: readonly PythonToken[]): DeclaredType {
  const open = tokens.findIndex((token) => token.text === '(');
  if (open < 1 || !closesAtEnd(tokens.slice(open))) return anything;
  const path = tokens
    .slice(0, open)
    .map((token) => token.text)
    .join('');
  if (datetimeCall.test(path)) return only('date');
  return /^(?:str|int|float|bool|bytes|list|tuple|set|dict)$/.test(path) ? namedType(path) : anything;
}

const operators = new Set(['+', '-', '*', '/', '//', '%', '**', '(', ')']);

function typeOfSum(tokens: readonly PythonToken[]): DeclaredType {
  const numbers = tokens.filter((token) => token.kind === 'number');
  if (numbers.length === 0 || tokens.some((token) => token.kind !== 'number' && !operators.has(token.text)))
    return anything;
  if (numbers.some((token) => /[jJ]$/.test(token.text))) return anything;
  const isFloat = (text: string) => !/^0[xX]/.test(text) && /[.eE]/.test(text);
  const isReal =
    numbers.some((token) => isFloat(token.text)) || tokens.some((token) => /^(?:\/|\*\*)$/.test(token.text));
  return isReal ? real : whole;
}

/** The parts between the separators outside all brackets; a part may be empty. */
export function splitAt(tokens: readonly PythonToken[], separator: string): PythonToken[][] {
  const parts: PythonToken[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    depth += step(token);
    if (depth === 0 && token.kind === 'mark' && token.text === separator) parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return parts;
}

function closesAtEnd(tokens: readonly PythonToken[]): boolean {
  let depth = 0;
  for (const [index, token] of tokens.entries()) {
    depth += step(token);
    if (depth === 0) return index === tokens.length - 1;
  }
  return false;
}

function step(token: PythonToken): -1 | 0 | 1 {
  if (token.kind !== 'mark') return 0;
  return '([{'.includes(token.text) ? 1 : ')]}'.includes(token.text) ? -1 : 0;
}
