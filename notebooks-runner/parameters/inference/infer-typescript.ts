import { typeOfAnnotation, typeOfValue } from './declared-type.ts';
import type { Declaration, Inference } from './inference.ts';
import { bracketStep, scanTokens, type Token } from './scan-tokens.ts';

const continuesLine = new Set('. ?. + - * / % ** & | ^ < > <= = == === != !== && || ?? ? : , ( [ =>'.split(' '));
const continuesAsName = new Set(['in', 'instanceof', 'as', 'satisfies']);

/**
 * The top-level `const|let|var name[: type] = value` declarations of a TypeScript or JavaScript cell.
 * Undefined when the text cannot be read as tokens or declares nothing.
 */
export function inferTypescript(source: string): Inference | undefined {
  const tokens = scanTokens(source);
  if (tokens === undefined) return undefined;
  const declarations = new Map<string, Declaration>();
  let isComplete = true;
  for (let i = 0, depth = 0; i < tokens.length; ) {
    const token = tokens[i];
    if (token !== undefined && depth === 0 && startsDeclaration(tokens, i)) {
      const list = readDeclarators(tokens, i + 1, token.text, source);
      for (const declaration of list.found) declarations.set(declaration.name, declaration);
      isComplete &&= list.isComplete;
      i = list.end;
      continue;
    }
    if (token !== undefined) depth += bracketStep(token);
    i++;
  }
  return declarations.size === 0 && isComplete ? undefined : { declarations, isComplete };
}

function startsDeclaration(tokens: readonly Token[], index: number): boolean {
  const [before, token, after] = [tokens[index - 1], tokens[index], tokens[index + 1]];
  if (token?.kind !== 'name' || !['const', 'let', 'var'].includes(token.text)) return false;
  if (after === undefined || !(after.kind === 'name' || after.text === '{' || after.text === '[')) return false;
  if (token.text === 'const' && after.text === 'enum') return false;
  return before === undefined || token.startsLine || [';', '}', 'export', 'declare'].includes(before.text);
}

interface DeclaratorList {
  readonly found: readonly Declaration[];
  readonly isComplete: boolean;
  readonly end: number;
}

function readDeclarators(tokens: readonly Token[], start: number, keyword: string, source: string): DeclaratorList {
  const found: Declaration[] = [];
  let isComplete = true;
  let i = start;
  for (;;) {
    const target = tokens[i];
    if (target === undefined) break;
    if (target.kind === 'name') i++;
    else {
      isComplete = false;
      i = skipGroup(tokens, i);
    }
    if (tokens[i]?.text === '!') i++;
    const annotation = tokens[i]?.text === ':' ? sliceUntil(tokens, i + 1, endsAnnotation) : [];
    if (tokens[i]?.text === ':') i += annotation.length + 1;
    const value = tokens[i]?.text === '=' ? sliceUntil(tokens, i + 1, endsValue) : [];
    if (tokens[i]?.text === '=') i += value.length + 1;
    if (target.kind === 'name') {
      const type = annotation.length > 0 ? typeOfAnnotation(annotation) : typeOfValue(value);
      const textOf = (part: readonly Token[]) => source.slice(part[0]?.start ?? 0, part.at(-1)?.end ?? 0);
      const help = commentAfter(source, tokens[i - 1]?.end ?? target.end);
      found.push({
        name: target.text,
        keyword,
        type,
        annotationText: textOf(annotation),
        defaultText: textOf(value),
        help,
      });
    }
    if (tokens[i]?.text !== ',') break;
    i++;
  }
  return { found, isComplete, end: i };
}

/** The tokens from `start` up to the first at depth 0 for which `ends` holds. */
function sliceUntil(
  tokens: readonly Token[],
  start: number,
  ends: (tokens: readonly Token[], index: number, isFirst: boolean) => boolean,
): readonly Token[] {
  let depth = 0;
  let i = start;
  for (; i < tokens.length; i++) {
    const token = tokens[i];
    if (token === undefined || (depth === 0 && ends(tokens, i, i === start))) break;
    depth += bracketStep(token);
    if (depth < 0) break;
  }
  return tokens.slice(start, i);
}

function endsAnnotation(tokens: readonly Token[], index: number): boolean {
  const token = tokens[index];
  return token === undefined || token.text === '=' || endsValue(tokens, index, false);
}

function endsValue(tokens: readonly Token[], index: number, isFirst: boolean): boolean {
  const token = tokens[index];
  if (token === undefined || token.text === ';') return true;
  if (isFirst) return false;
  if (token.text === ',' && token.kind === 'mark') return isDeclarator(tokens, index + 1);
  return token.startsLine && !continues(tokens[index - 1], token);
}

/** Tells `a = 1, b = 2` from the comma of a type argument as in `new Map<string, number>()`. */
function isDeclarator(tokens: readonly Token[], index: number): boolean {
  const [target, after] = [tokens[index], tokens[index + 1]];
  if (target === undefined) return true;
  if (target.kind !== 'name') return target.text === '{' || target.text === '[';
  return after === undefined || after.startsLine || ['=', ':', '!', ',', ';'].includes(after.text);
}

/** Whether a statement goes on over the line end between two tokens (automatic semicolon insertion). */
function continues(before: Token | undefined, token: Token): boolean {
  if (token.kind === 'mark' && continuesLine.has(token.text)) return true;
  if (token.kind === 'name' && continuesAsName.has(token.text)) return true;
  return before?.kind === 'mark' && continuesLine.has(before.text);
}

function skipGroup(tokens: readonly Token[], start: number): number {
  let depth = 0;
  for (let i = start; i < tokens.length; i++) {
    const token = tokens[i];
    if (token !== undefined) depth += bracketStep(token);
    if (depth <= 0) return i + 1;
  }
  return tokens.length;
}

/** The text of a `//` comment that ends the declaration's line. */
function commentAfter(source: string, end: number): string {
  return /^[ \t]*[,;]?[ \t]*\/\/[ \t]*([^\r\n]*)/.exec(source.slice(end, end + 1_000))?.[1]?.trim() ?? '';
}
