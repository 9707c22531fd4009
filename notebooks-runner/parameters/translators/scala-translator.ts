import type { ParameterValue } from '../parameter-value.ts';
import {
  createLiteral,
  escapeUnits,
  floatText,
  isInt32,
  isInt64,
  type LiteralWriter,
  numberTypeOf,
} from './literal-writer.ts';
import type { Translator } from './translator.ts';

const namePattern = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

const reserved = new Set(
  `_ abstract case catch class def do else enum export extends false final finally for forSome given if implicit import
  lazy macro match new null object override package private protected return sealed super then this throw trait true
  try type val var while with yield`.split(/\s+/),
);

/** A constant of a class file holds at most 65,535 bytes of text. */
const maxConstantUnits = 10_000;

/** Line ends as short escapes: before Scala 2.13 a `\u000a` ends the source line. */
const short = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\b': '\\b', '\f': '\\f' };

function quote(text: string): string {
  const plain = (part: string) => `"${escapeUnits(part, short)}"`;
  if (text.length <= maxConstantUnits) return plain(text);
  const parts = text.match(/[\s\S]{1,10000}/g) ?? [];
  return `Seq(${parts.map(plain).join(', ')}).mkString`;
}

/** A method holds at most 64 KiB of byte code, so what is long is built by several. */
const maxMethodCharacters = 8_000;

/** Calls `name(items)`, in parts by functions of their own where one method could not hold them. */
function build(name: string, items: readonly string[], join: (parts: readonly string[]) => string): string {
  const parts: string[][] = [[]];
  let length = 0;
  for (const item of items) {
    if (length + item.length > maxMethodCharacters && length > 0) {
      parts.push([]);
      length = 0;
    }
    parts.at(-1)?.push(item);
    length += item.length + 2;
  }
  if (parts.length === 1) return `${name}(${items.join(', ')})`;
  return join(parts.map((part) => `{ def part = ${name}(${part.join(', ')}); part }`));
}

/** Scala 2 would turn `Seq(1, 0.5)` into floats, and lose digits of 64 bits by it. */
function listLiteral(items: readonly string[], values: readonly ParameterValue[]): string {
  const numbers = new Set(values.map((value) => (typeof value === 'bigint' ? 'integer' : numberTypeOf(value))));
  const isMixed = numbers.has('integer') && numbers.has('float');
  return build(isMixed ? 'Seq[Any]' : 'Seq', items, (parts) => `Seq.concat(${parts.join(', ')})`);
}

const writer: LiteralWriter = {
  nothing: 'None',
  yes: 'true',
  no: 'false',
  notANumber: 'Double.NaN',
  infinity: 'Double.PositiveInfinity',
  minusInfinity: 'Double.NegativeInfinity',
  integer: (value) => (isInt32(value) ? String(value) : `${value}L`),
  float: floatText,
  bigint: (value) => (isInt64(value) ? `${value}L` : `BigInt("${value}")`),
  text: quote,
  list: listLiteral,
  object: (entries) => {
    // The types of its keys and values could not be told from nothing, and none could be looked up.
    if (entries.length === 0) return 'Map.empty[String, Any]';
    const items = entries.map(([key, item]) => `${quote(key)} -> ${item}`);
    return build('Map', items, (parts) => parts.join(' ++ '));
  },
  date: (iso) => `java.time.Instant.parse("${iso}")`,
  bytes: (value) => `Array[Byte](${Array.from(new Int8Array(value)).join(', ')})`,
};

const literal = createLiteral(writer);

/** Scala 2 and 3. */
export const scalaTranslator: Translator = {
  comment: '// Parameters',
  isName: (text) => namePattern.test(text) && !reserved.has(text),
  faultsOf: () => [],
  literal,
  assignment: (name, value) => `val ${name} = ${literal(value)}`,
  secretAssignment: (name, variable) => `val ${name} = sys.env("${variable}")`,
  infer: () => undefined,
};
