import { kindOf, type ParameterValue } from '../parameter-value.ts';
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
  `_ abstract and as assert base begin class const default delegate do done downcast downto elif else end exception
  extern false finally fixed for fun function global if in include inherit inline interface internal lazy let match
  member mod module mutable namespace new not null of open or override private process protected public pure rec
  return select sig static struct then to true try type upcast use val void when while with yield land lor lxor lsl
  lsr asr atomic break checked component constraint constructor continue event external functor method mixin object
  parallel sealed tailcall trait virtual volatile`.split(/\s+/),
);

const quote = (text: string) => `"${escapeUnits(text, { '\n': '\\n', '\r': '\\r', '\t': '\\t' })}"`;

/** The items of an F# list have one type; mixed ones are boxed. */
function listLiteral(items: readonly string[], values: readonly ParameterValue[]): string {
  const isUniform =
    new Set(values.map(typeOf)).size <= 1 && !values.some((value) => value === null || kindOf(value) === 'list');
  return `[ ${items.map((item) => (isUniform ? item : `box (${item})`)).join('; ')} ]`;
}

function typeOf(value: ParameterValue): string {
  if (typeof value === 'bigint') return isInt64(value) ? 'int64' : 'bigint';
  const number = numberTypeOf(value);
  return number === 'integer' ? (isInt32(Number(value)) ? 'int' : 'int64') : (number ?? kindOf(value));
}

const writer: LiteralWriter = {
  nothing: '(null : obj)',
  yes: 'true',
  no: 'false',
  notANumber: 'System.Double.NaN',
  infinity: 'System.Double.PositiveInfinity',
  minusInfinity: 'System.Double.NegativeInfinity',
  integer: (value) => (isInt32(value) ? String(value) : `${value}L`),
  float: floatText,
  bigint: (value) => (isInt64(value) ? `${value}L` : `System.Numerics.BigInteger.Parse("${value}")`),
  text: quote,
  list: listLiteral,
  object: (entries) =>
    entries.length === 0
      ? '(Map.empty : Map<string, obj>)'
      : `Map.ofList [ ${entries.map(([key, item]) => `(${quote(key)}, box (${item}))`).join('; ')} ]`,
  date: (iso) => `System.DateTimeOffset.Parse("${iso}", System.Globalization.CultureInfo.InvariantCulture)`,
  bytes: (value) => `[| ${Array.from(value, (byte) => `${byte}uy`).join('; ')} |]`,
};

const literal = createLiteral(writer);

/** F# of the .NET kernels. */
export const fsharpTranslator: Translator = {
  comment: '// Parameters',
  isName: (text) => namePattern.test(text) && !reserved.has(text),
  faultsOf: () => [],
  literal,
  assignment: (name, value) => `let ${name} = ${literal(value)}`,
  secretAssignment: (name, variable) => `let ${name} = System.Environment.GetEnvironmentVariable("${variable}")`,
  infer: () => undefined,
};
