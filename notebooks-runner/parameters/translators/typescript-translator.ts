import { inferTypescript } from '../inference/infer-typescript.ts';
import { quoteText } from './literal-text.ts';
import { createLiteral } from './literal-writer.ts';
import type { Translator } from './translator.ts';

const namePattern = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]{0,127}$/u;

const reserved = new Set(
  `arguments await break case catch class const continue debugger default delete do else enum eval export extends false
  finally for function if implements import in instanceof interface let new null package private protected public
  return static super switch this throw true try typeof undefined var void while with yield NaN Infinity`.split(/\s+/),
);

const literal = createLiteral({
  nothing: 'null',
  yes: 'true',
  no: 'false',
  notANumber: 'NaN',
  infinity: 'Infinity',
  minusInfinity: '-Infinity',
  integer: String,
  float: (value) => (Object.is(value, -0) ? '-0' : String(value)),
  bigint: (value) => `${value}n`,
  text: quoteText,
  list: (items) => `[${items.join(', ')}]`,
  object: (entries) =>
    entries.length === 0 ? '{}' : `{ ${entries.map(([key, item]) => `${keyOf(key)}: ${item}`).join(', ')} }`,
  date: (iso) => `new Date(${quoteText(iso)})`,
  bytes: (value) => `Uint8Array.from(atob("${Buffer.from(value).toString('base64')}"), (unit) => unit.charCodeAt(0))`,
});

/** TypeScript and JavaScript: one `const` (or the keyword of the default) per parameter, so that later cells see it. */
export const typescriptTranslator: Translator = {
  comment: '// Parameters',
  isName: (text) => namePattern.test(text) && !reserved.has(text),
  faultsOf: () => [],
  literal,
  assignment: (name, value, keyword = 'const') => `${keyword} ${name} = ${literal(value)};`,
  // Not Deno.env, so that it runs on the other kernels too.
  secretAssignment: (name, variable, keyword = 'const') =>
    `${keyword} ${name} = globalThis.process.env["${variable}"] ?? "";`,
  infer: inferTypescript,
};

/** `"__proto__": x` would set the prototype instead of a property; a computed key does not. */
function keyOf(key: string): string {
  return key === '__proto__' ? '["__proto__"]' : quoteText(key);
}
