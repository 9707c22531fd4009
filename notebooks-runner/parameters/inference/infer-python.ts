import { anything } from './declared-type.ts';
import type { Declaration, Inference } from './inference.ts';
import { splitAt, typeOfPythonAnnotation, typeOfPythonValue } from './python-type.ts';
import { type PythonStatement, type PythonToken, scanPython } from './scan-python.ts';

/** Statements that bind no parameter of their own. */
const otherStatements = new Set(
  'assert await async break class continue def del global import nonlocal pass raise return yield @ lambda not'.split(
    ' ',
  ),
);
/** Statements whose bodies may bind names that are not looked for. */
const blockStatements = new Set('if elif else for while with try except finally'.split(' '));

/**
 * The top-level assignments of a Python cell: `name = value`, `name: type = value`, `a = b = value`, `a, b = values`.
 * Undefined when the text cannot be read as tokens or declares nothing.
 */
export function inferPython(source: string): Inference | undefined {
  const statements = scanPython(source);
  if (statements === undefined) return undefined;
  const declarations = new Map<string, Declaration>();
  let isComplete = true;
  for (const statement of statements) {
    if (statement.indent > 0) continue;
    const [first] = statement.tokens;
    if (first === undefined) continue;
    for (const name of walrusNames(statement)) declarations.set(name, declare(name, [], [], '', source));
    if (isBlock(statement)) isComplete = false;
    else if (first.text === 'from') isComplete &&= statement.tokens.at(-1)?.text !== '*';
    else if (!otherStatements.has(first.text) && !isTypeAlias(statement)) {
      for (const declaration of readAssignment(statement, source)) declarations.set(declaration.name, declaration);
    }
  }
  return declarations.size === 0 && isComplete ? undefined : { declarations, isComplete };
}

/** Names that an expression binds by the way: `print(n := 10)`; not those in a lambda, which stay there. */
function walrusNames({ tokens }: PythonStatement): string[] {
  if (tokens.some((token) => token.text === 'lambda')) return [];
  return tokens.flatMap((token, i) => (token.kind === 'name' && tokens[i + 1]?.text === ':=' ? [token.text] : []));
}

/** The head of a compound statement, also `match x:` and `async for`, whose words are no keywords elsewhere. */
function isBlock({ tokens: [first, second, ...rest] }: PythonStatement): boolean {
  if (first === undefined) return false;
  if (first.text === 'async') return second?.text !== 'def';
  return blockStatements.has(first.text) || (first.text === 'match' && rest.at(-1)?.text === ':');
}

function isTypeAlias({ tokens: [first, second] }: PythonStatement): boolean {
  return first?.text === 'type' && second?.kind === 'name';
}

function readAssignment({ tokens, comment }: PythonStatement, source: string): Declaration[] {
  const [target, colon] = tokens;
  const lambda = tokens.findIndex((token) => token.text === 'lambda');
  const head = lambda < 0 ? tokens : tokens.slice(0, lambda);
  if (target?.kind === 'name' && colon?.text === ':') {
    const [annotation = []] = splitAt(head.slice(2), '=');
    return [declare(target.text, annotation, tokens.slice(annotation.length + 3), comment, source)];
  }
  const parts = splitAt(head, '=');
  if (parts.length < 2) return [];
  const targets = parts.slice(0, -1);
  const value = tokens.slice(targets.reduce((count, part) => count + part.length + 1, 0));
  return targets.flatMap((part) => {
    const [only] = part;
    if (part.length === 1 && only?.kind === 'name') return [declare(only.text, [], value, comment, source)];
    return unpacked(part).map((name) => declare(name, [], [], comment, source));
  });
}

/** The names of `a, (b, *c)`; none when the target is an attribute, an item or an expression. */
function unpacked(tokens: readonly PythonToken[]): string[] {
  const isPattern = tokens.every((token) => token.kind === 'name' || '()[],*'.includes(token.text));
  const isItem = tokens.some((token, i) => token.text === '[' && tokens[i - 1]?.kind === 'name');
  return isPattern && !isItem ? tokens.filter((token) => token.kind === 'name').map((token) => token.text) : [];
}

function declare(
  name: string,
  annotation: readonly PythonToken[],
  value: readonly PythonToken[],
  comment: string,
  source: string,
): Declaration {
  const textOf = (tokens: readonly PythonToken[]) => source.slice(tokens[0]?.start ?? 0, tokens.at(-1)?.end ?? 0);
  const hint = /^type:\s*(\S+)\s*(.*)$/.exec(comment);
  const hinted = annotation.length === 0 && hint !== null ? (scanPython(hint[1] ?? '')?.[0]?.tokens ?? []) : [];
  const stated = annotation.length > 0 ? annotation : hinted;
  const type =
    stated.length > 0 ? typeOfPythonAnnotation(stated) : value.length > 0 ? typeOfPythonValue(value) : anything;
  return {
    name,
    keyword: '',
    type,
    annotationText: annotation.length > 0 ? textOf(annotation) : (hint?.[1] ?? ''),
    defaultText: textOf(value),
    help: (hint === null ? comment : hint[2]) ?? '',
  };
}
