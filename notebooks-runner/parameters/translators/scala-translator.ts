import { createLiteral, escapeUnits, floatText, isInt32, isInt64, type LiteralWriter } from './literal-writer.ts';
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
  list: (items) => `Seq(${items.join(', ')})`,
  object: (entries) => `Map(${entries.map(([key, item]) => `${quote(key)} -> ${item}`).join(', ')})`,
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
