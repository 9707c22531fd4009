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

/** R's parser takes at most 10,000 characters of a text that has code points. */
const maxLiteralCharacters = 5_000;

function quote(text: string): string {
  if (text.length <= maxLiteralCharacters) return quotePart(text);
  return `paste0(${(text.match(/[\s\S]{1,5000}/gu) ?? []).map(quotePart).join(', ')})`;
}

/** A `\x` escape would be one raw byte, so every character beyond ASCII is written as a code point. */
function quotePart(text: string): string {
  const escaped = text.replace(/[^\x20-\x7e]|["\\]/gu, (character) => {
    const point = (character.codePointAt(0) ?? 0).toString(16);
    return short[character] ?? (point.length > 4 ? `\\U${point.padStart(8, '0')}` : `\\u${point.padStart(4, '0')}`);
  });
  return `"${escaped}"`;
}

/**
 * Others are set apart: an argument's name may not be empty or long, and its other letters become those of the locale.
 */
const isArgumentName = (key: string) => /^[\x20-\x7e]{1,1000}$/.test(key);

/** Without names a list is one of JSON's, not an object; `c()` would be none. */
const namesOf = (keys: readonly string[]) => (keys.length === 0 ? 'character()' : `c(${keys.map(quote).join(', ')})`);

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
  object: (entries) => {
    if (entries.length > 0 && entries.every(([key]) => isArgumentName(key))) {
      return `list(${entries.map(([key, item]) => `${quote(key)} = ${item}`).join(', ')})`;
    }
    return `stats::setNames(list(${entries.map(([, item]) => item).join(', ')}), ${namesOf(entries.map(([key]) => key))})`;
  },
  date: (iso) => `as.POSIXct("${iso.replace('Z', '')}", format = "%Y-%m-%dT%H:%M:%OS", tz = "UTC")`,
  bytes: (value) => `as.raw(c(${byteList(value)}))`,
  refuse: (value) =>
    typeof value === 'bigint' && !Number.isSafeInteger(Number(value))
      ? 'is an integer over 53 bits, which R has no type for; pass it as text'
      : refuseText(value, 'R', { nul: false, loneSurrogate: false }),
};

const literal = createLiteral(writer);

/** Of brackets in brackets; R 4.2 says "contextstack overflow" beyond. */
const maxBrackets = 50;

/** How deep the brackets of the code nest, those in quotes aside. */
function bracketsOf(code: string): number {
  let depth = 0;
  let most = 0;
  for (const [bracket] of code.replace(/"(?:\\.|[^"\\])*"/g, '').matchAll(/[()]/g)) {
    depth += bracket === '(' ? 1 : -1;
    most = Math.max(most, depth);
  }
  return most;
}

/** R. A leading underscore is no name there: refused, where Papermill renames the parameter. */
export const rTranslator: Translator = {
  comment: '# Parameters',
  isName: (text) => namePattern.test(text) && !reserved.has(text) && !/^\.\.\d+$/.test(text),
  faultsOf: (value, field) => {
    const faults = faultsOfLiteral(writer, value, field);
    if (faults.length > 0 || bracketsOf(literal(value)) <= maxBrackets) return faults;
    return [{ field, description: `nests deeper than R's parser goes, ${maxBrackets} brackets` }];
  },
  literal,
  assignment: (name, value) => `${name} <- ${literal(value)}`,
  secretAssignment: (name, variable) => `${name} <- Sys.getenv("${variable}")`,
  infer: () => undefined,
};
