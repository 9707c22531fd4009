import { inferTypescript } from './infer-typescript.ts';
import { quoteText } from './literal-text.ts';
import { isList, type ParameterValue } from './parameter-value.ts';
import type { Translator } from './translator.ts';

const namePattern = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]{0,127}$/u;

const reserved = new Set(
  `arguments await break case catch class const continue debugger default delete do else enum eval export extends false
  finally for function if implements import in instanceof interface let new null package private protected public
  return static super switch this throw true try typeof undefined var void while with yield NaN Infinity`.split(/\s+/),
);

/** TypeScript and JavaScript: one `const` (or the keyword of the default) per parameter, so that later cells see it. */
export const typescriptTranslator: Translator = {
  comment: '// Parameters',
  isName: (text) => namePattern.test(text) && !reserved.has(text),
  literal,
  assignment: (name, value, keyword = 'const') => `${keyword} ${name} = ${literal(value)};`,
  infer: inferTypescript,
};

function literal(value: ParameterValue): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return quoteText(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  if (typeof value === 'boolean') return String(value);
  if (isList(value)) return `[${value.map(literal).join(', ')}]`;
  const entries = Object.entries(value).map(([key, item]) => `${keyOf(key)}: ${literal(item)}`);
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
}

/** `"__proto__": x` would set the prototype instead of a property; a computed key does not. */
function keyOf(key: string): string {
  return key === '__proto__' ? '["__proto__"]' : quoteText(key);
}
