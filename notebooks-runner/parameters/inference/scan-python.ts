import { matchAt as match } from './match-at.ts';

/** One lexical token of Python; comments and white space are left out. */
export interface PythonToken {
  /** `format` is an f-string, whose value is not known; `bytes` a bytes literal. */
  readonly kind: 'name' | 'number' | 'string' | 'bytes' | 'format' | 'mark';
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** One simple statement, or the head of a compound one. */
export interface PythonStatement {
  /** Columns before its line's first token: 0 at the top level. */
  readonly indent: number;
  readonly tokens: readonly PythonToken[];
  /** The last comment on its lines, without `#`. */
  readonly comment: string;
}

const blank = /[ \t\f]+|\\\r?\n/y;
const lineEnd = /\r?\n|\r/y;
const comment = /#[^\r\n]*/y;
const name = /[\p{XID_Start}_][\p{XID_Continue}]*/uy;
const number =
  /(?:0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?)[jJ]?/y;
const quoteStart = /([rRbBuUfFtT]{0,2})("""|'''|"|')/y;
const mark = /\*\*=?|\/\/=?|>>=?|<<=?|:=|->|\.{3}|[=!<>+\-*/%&|^@]=|[^\s]/uy;

/**
 * The statements of a Python cell, joined over brackets and backslashes and split at `;`. Undefined when it cannot be
 * read as Python (open string or bracket). Lines that begin with `%` or `!` (IPython's own) are left out.
 */
export function scanPython(source: string): PythonStatement[] | undefined {
  const statements: PythonStatement[] = [];
  const open: string[] = [];
  let tokens: PythonToken[] = [];
  let note = '';
  let indent = 0;
  let position = 0;
  let isLineStart = true;
  const finish = () => {
    if (tokens.length > 0) statements.push({ indent, tokens, comment: note });
    tokens = [];
    note = '';
  };
  while (position < source.length) {
    const gap = match(blank, source, position);
    if (isLineStart) {
      indent = gap === undefined || gap.startsWith('\\') ? 0 : gap.length;
      const at = position + indent;
      isLineStart = false;
      if (source[at] === '%' || source[at] === '!') {
        position = endOfLine(source, at);
        continue;
      }
    }
    if (gap !== undefined) {
      position += gap.length;
      continue;
    }
    const ending = match(lineEnd, source, position);
    if (ending !== undefined) {
      position += ending.length;
      if (open.length > 0) continue;
      finish();
      isLineStart = true;
      continue;
    }
    const words = match(comment, source, position);
    if (words !== undefined) {
      // A comment line between statements belongs to none of them.
      if (tokens.length > 0 && open.length === 0) note = words.slice(1).trim();
      position += words.length;
      continue;
    }
    const token = nextToken(source, position);
    if (token === undefined || !nest(open, token)) return undefined;
    position = token.end;
    if (token.text === ';' && open.length === 0) finish();
    else tokens.push(token);
  }
  if (open.length > 0) return undefined;
  finish();
  return statements;
}

const closing: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** Follows brackets; false for one that does not fit. */
function nest(open: string[], token: PythonToken): boolean {
  if (token.kind !== 'mark') return true;
  const close = closing[token.text];
  if (close !== undefined) open.push(close);
  else if (')]}'.includes(token.text)) return open.pop() === token.text;
  return true;
}

/** How deep strings may stand in expressions of f-strings. */
const maxNesting = 20;

function nextToken(source: string, start: number, nesting = 0): PythonToken | undefined {
  const make = (kind: PythonToken['kind'], end: number): PythonToken => ({
    kind,
    text: source.slice(start, end),
    start,
    end,
  });
  quoteStart.lastIndex = start;
  const quote = quoteStart.exec(source);
  if (quote !== null) {
    const prefix = (quote[1] ?? '').toLowerCase();
    const isFormat = /[ft]/.test(prefix);
    const end = endOfString(source, start + quote[0].length, quote[2] ?? '', isFormat ? nesting : undefined);
    if (end === undefined) return undefined;
    return make(isFormat ? 'format' : prefix.includes('b') ? 'bytes' : 'string', end);
  }
  const word = match(name, source, start);
  if (word !== undefined) return make('name', start + word.length);
  const digits = match(number, source, start);
  if (digits !== undefined) return make('number', start + digits.length);
  const text = match(mark, source, start);
  return text === undefined ? undefined : make('mark', start + text.length);
}

/** Where a string ends, after its closing quote; an f-string (`nesting` given) has expressions with strings of their own. */
function endOfString(source: string, start: number, quote: string, nesting: number | undefined): number | undefined {
  let position = start;
  while (position < source.length) {
    if (source.startsWith(quote, position)) return position + quote.length;
    const character = source[position];
    if (character === '\\') position += 2;
    else if ((character === '\n' || character === '\r') && quote.length === 1) return undefined;
    else if (nesting !== undefined && character === '{') {
      if (source[position + 1] === '{') position += 2;
      else {
        const end = nesting === maxNesting ? undefined : endOfExpression(source, position + 1, nesting + 1);
        if (end === undefined) return undefined;
        position = end;
      }
    } else position++;
  }
  return undefined;
}

function endOfExpression(source: string, start: number, nesting: number): number | undefined {
  let depth = 0;
  for (let position = start; position < source.length; ) {
    const character = source[position] ?? '';
    if (character === '}' && depth === 0) return position + 1;
    if (/\s/.test(character)) {
      position++;
      continue;
    }
    const token = nextToken(source, position, nesting);
    if (token === undefined) return undefined;
    if (closing[token.text] !== undefined) depth++;
    else if (token.kind === 'mark' && ')]}'.includes(token.text)) depth--;
    position = token.end;
  }
  return undefined;
}

function endOfLine(source: string, start: number): number {
  const end = source.slice(start).search(/[\r\n]/);
  return end < 0 ? source.length : start + end;
}
