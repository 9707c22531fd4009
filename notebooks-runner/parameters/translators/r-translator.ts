import {
  byteList,
  createLiteral,
  faultsOfLiteral,
  floatText,
  type LiteralWriter,
  refuseText,
} from './literal-writer.ts';
import type { Translator } from './translator.ts';

const namePattern = /^(?:[A-Za-z]|\.(?!\d))[A-Za-z0-9._]{0,127}$/;

const reserved = new Set(
  `if else repeat while function for next break TRUE FALSE NULL Inf NaN NA NA_integer_ NA_real_ NA_complex_
  NA_character_ in T F return .GlobalEnv .Last.value .Random.seed ...`.split(/\s+/),
);

const short: Readonly<Record<string, string>> = { '"': '\\"', '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** A `\x` escape would be one raw byte, so every character beyond ASCII is written as a code point. */
function quote(text: string): string {
  const escaped = text.replace(/[^\x20-\x7e]|["\\]/gu, (character) => {
    const point = (character.codePointAt(0) ?? 0).toString(16);
    return short[character] ?? (point.length > 4 ? `\\U${point.padStart(8, '0')}` : `\\u${point.padStart(4, '0')}`);
  });
  return `"${escaped}"`;
}

const writer: LiteralWriter = {
  nothing: 'NULL',
  yes: 'TRUE',
  no: 'FALSE',
  notANumber: 'NaN',
  infinity: 'Inf',
  minusInfinity: '-Inf',
  integer: String,
  float: floatText,
  bigint: String,
  text: quote,
  list: (items) => `list(${items.join(', ')})`,
  // Names are set apart, since an argument cannot have an empty name.
  object: (entries) =>
    `stats::setNames(list(${entries.map(([, item]) => item).join(', ')}), c(${entries.map(([key]) => quote(key)).join(', ')}))`,
  date: (iso) => `as.POSIXct("${iso.replace('Z', '')}", format = "%Y-%m-%dT%H:%M:%OS", tz = "UTC")`,
  bytes: (value) => `as.raw(c(${byteList(value)}))`,
  refuse: (value) =>
    typeof value === 'bigint' && !Number.isSafeInteger(Number(value))
      ? 'is an integer over 53 bits, which R has no type for; pass it as text'
      : refuseText(value, 'R', { nul: false, loneSurrogate: false }),
};

const literal = createLiteral(writer);

/** R. A leading underscore is no name there: refused, where Papermill renames the parameter. */
export const rTranslator: Translator = {
  comment: '# Parameters',
  isName: (text) => namePattern.test(text) && !reserved.has(text) && !/^\.\.\d+$/.test(text),
  faultsOf: (value, field) => faultsOfLiteral(writer, value, field),
  literal,
  assignment: (name, value) => `${name} <- ${literal(value)}`,
  secretAssignment: (name, variable) => `${name} <- Sys.getenv("${variable}")`,
  infer: () => undefined,
};
