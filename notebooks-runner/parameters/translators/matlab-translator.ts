import { byteList, createLiteral, faultsOfLiteral, floatText, isInt64, type LiteralWriter } from './literal-writer.ts';
import type { Translator } from './translator.ts';

const namePattern = /^[A-Za-z][A-Za-z0-9_]{0,62}$/;

const reserved = new Set(
  `break case catch classdef continue else elseif end for function global if otherwise parfor persistent return spmd
  switch try while true false NaN Inf ans`.split(/\s+/),
);

/** Quotes have no escapes but their own doubling; other characters are added by code. `mark` is `"` or `'`. */
function quoteWith(text: string, mark: '"' | "'"): string {
  const parts = text.match(/[\x20-\x7e]+|[^\x20-\x7e]+/g) ?? [''];
  const written = parts.map((part) =>
    /^[\x20-\x7e]*$/.test(part)
      ? `${mark}${part.replaceAll(mark, mark + mark)}${mark}`
      : `char([${Array.from({ length: part.length }, (_, i) => part.charCodeAt(i)).join(' ')}])`,
  );
  if (written.length === 1 && written[0]?.startsWith(mark)) return written[0];
  return mark === '"' ? `(${['""', ...written].join(' + ')})` : `[${written.join(' ')}]`;
}

const quote = (text: string) => quoteWith(text, '"');
const quoteKey = (text: string) => quoteWith(text, "'");

const writer: LiteralWriter = {
  nothing: '[]',
  yes: 'true',
  no: 'false',
  notANumber: 'NaN',
  infinity: 'Inf',
  minusInfinity: '-Inf',
  integer: String,
  float: floatText,
  // A plain literal is a double first and would lose digits.
  bigint: (value) => `sscanf('${value}', '%ld')`,
  text: quote,
  list: (items) => `{${items.join(', ')}}`,
  object: (entries) =>
    entries.length === 0
      ? "containers.Map('KeyType', 'char', 'ValueType', 'any')"
      : `containers.Map({${entries.map(([key]) => quoteKey(key)).join(', ')}}, ` +
        `{${entries.map(([, item]) => item).join(', ')}}, 'UniformValues', false)`,
  date: (iso) => `datetime("${iso.replace('Z', '')}", "InputFormat", "yyyy-MM-dd'T'HH:mm:ss.SSS", "TimeZone", "UTC")`,
  bytes: (value) => `uint8([${byteList(value)}])`,
  refuse: (value) =>
    typeof value === 'bigint' && !isInt64(value)
      ? 'is an integer over 64 bits, which Matlab has no type for'
      : undefined,
};

const literal = createLiteral(writer);

/** Matlab. `null` becomes the empty matrix, since NaN is a number of its own. */
export const matlabTranslator: Translator = {
  comment: '% Parameters',
  isName: (text) => namePattern.test(text) && !reserved.has(text),
  faultsOf: (value, field) => faultsOfLiteral(writer, value, field),
  literal,
  assignment: (name, value) => `${name} = ${literal(value)};`,
  secretAssignment: (name, variable) => `${name} = string(getenv('${variable}'));`,
  infer: () => undefined,
};
