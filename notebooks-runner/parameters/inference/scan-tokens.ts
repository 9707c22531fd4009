import { matchAt as match } from './match-at.ts';

/** One lexical token of TypeScript or JavaScript; comments and white space are left out. */
export interface Token {
  /** `template` has no `${}`; one with substitutions is an `expression`, as is a regular expression. */
  readonly kind: 'name' | 'number' | 'string' | 'template' | 'expression' | 'mark';
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** True when a line ends between the token before and this one. */
  readonly startsLine: boolean;
}

const space = /[\s\ufeff]+/y;
const comment = /\/\/[^\n\r\u2028\u2029]*|\/\*[\s\S]*?\*\//y;
const name = /#?[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/uy;
const number =
  /(?:0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?)n?/y;
const string = /"(?:[^"\\\n\r]|\\[\s\S])*"|'(?:[^'\\\n\r]|\\[\s\S])*'/y;
const regex = /\/(?:[^/\\[\n\r]|\\[^\n\r]|\[(?:[^\]\\\n\r]|\\[^\n\r])*\])+\/[a-z]*/y;
const mark = /=>|={2,3}|!={1,2}|\.{3}|\?\.(?!\d)|\?\?=?|&&=?|\|\|=?|\+\+|--|\*\*=?|[+\-*/%&|^]=|<=|[^\s]/uy;

/** Keywords after which `/` begins a regular expression, not a division. */
const beforeRegex = new Set('return typeof case in of instanceof new delete void throw await yield else do'.split(' '));

/** How a token changes the nesting of brackets: 1 opens, -1 closes, else 0. */
export function bracketStep(token: Token): -1 | 0 | 1 {
  if (token.kind !== 'mark') return 0;
  if (token.text === '(' || token.text === '[' || token.text === '{') return 1;
  return token.text === ')' || token.text === ']' || token.text === '}' ? -1 : 0;
}

/** The tokens of a source text; undefined when it cannot be read (open string, template or comment). */
export function scanTokens(source: string): Token[] | undefined {
  const end = scanInto(source, 0, [], 0);
  return end?.tokens;
}

interface Scan {
  readonly tokens: Token[];
  readonly end: number;
}

/** Templates in templates that are followed. */
const maxNesting = 50;

/** Scans from `start` to the end of the text, or, inside of `nesting` templates, to the `}` that closes a substitution. */
function scanInto(source: string, start: number, tokens: Token[], nesting: number): Scan | undefined {
  if (nesting > maxNesting) return undefined;
  const inTemplate = nesting > 0;
  let position = start;
  let depth = 0;
  let startsLine = true;
  while (position < source.length) {
    const gap = match(space, source, position) ?? match(comment, source, position);
    if (gap !== undefined) {
      startsLine ||= /[\n\r\u2028\u2029]/.test(gap);
      position += gap.length;
      continue;
    }
    if (inTemplate && depth === 0 && source[position] === '}') return { tokens, end: position };
    const token = nextToken(source, position, startsLine, tokens.at(-1), nesting);
    if (token === undefined) return undefined;
    if (token.text === '{') depth++;
    if (token.text === '}') depth--;
    tokens.push(token);
    position = token.end;
    startsLine = false;
  }
  return inTemplate ? undefined : { tokens, end: position };
}

function nextToken(
  source: string,
  start: number,
  startsLine: boolean,
  before: Token | undefined,
  nesting: number,
): Token | undefined {
  const make = (kind: Token['kind'], text: string): Token => ({
    kind,
    text,
    start,
    end: start + text.length,
    startsLine,
  });
  const first = source[start];
  if (first === '`') return templateToken(source, start, make, nesting);
  if (source.startsWith('/*', start)) return undefined;
  if (first === '"' || first === "'") {
    const text = match(string, source, start);
    return text === undefined ? undefined : make('string', text);
  }
  const word = match(name, source, start);
  if (word !== undefined) return make('name', word);
  const digits = match(number, source, start);
  if (digits !== undefined) return make('number', digits);
  const pattern = first === '/' && regexMayFollow(before) ? match(regex, source, start) : undefined;
  if (pattern !== undefined) return make('expression', pattern);
  const text = match(mark, source, start);
  return text === undefined ? undefined : make('mark', text);
}

function templateToken(
  source: string,
  start: number,
  make: (kind: Token['kind'], text: string) => Token,
  nesting: number,
): Token | undefined {
  let isPlain = true;
  for (let position = start + 1; position < source.length; position++) {
    const character = source[position];
    if (character === '\\') position++;
    else if (character === '`') return make(isPlain ? 'template' : 'expression', source.slice(start, position + 1));
    else if (character === '$' && source[position + 1] === '{') {
      const inner = scanInto(source, position + 2, [], nesting + 1);
      if (inner === undefined) return undefined;
      position = inner.end;
      isPlain = false;
    }
  }
  return undefined;
}

function regexMayFollow(before: Token | undefined): boolean {
  if (before === undefined) return true;
  if (before.kind === 'name') return beforeRegex.has(before.text);
  return before.kind === 'mark' && ![')', ']', '}', '++', '--'].includes(before.text);
}
