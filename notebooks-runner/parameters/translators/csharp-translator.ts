import {
  byteList,
  createLiteral,
  escapeUnits,
  floatText,
  isInt32,
  isInt64,
  type LiteralWriter,
} from './literal-writer.ts';
import type { Translator } from './translator.ts';

const namePattern = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

const reserved = new Set(
  `abstract as base bool break byte case catch char checked class const continue decimal default delegate do double
  else enum event explicit extern false finally fixed float for foreach goto if implicit in int interface internal is
  lock long namespace new null object operator out override params private protected public readonly ref return sbyte
  sealed short sizeof stackalloc static string struct switch this throw true try typeof uint ulong unchecked unsafe
  ushort using virtual void volatile while await var _`.split(/\s+/),
);

/** Never `\x`, which takes one to four digits and so eats what follows. */
const quote = (text: string) => `"${escapeUnits(text, { '\n': '\\n', '\r': '\\r', '\t': '\\t' })}"`;

const writer: LiteralWriter = {
  nothing: 'null',
  yes: 'true',
  no: 'false',
  notANumber: 'double.NaN',
  infinity: 'double.PositiveInfinity',
  minusInfinity: 'double.NegativeInfinity',
  integer: (value) => (isInt32(value) ? String(value) : `${value}L`),
  float: floatText,
  bigint: (value) => (isInt64(value) ? `${value}L` : `System.Numerics.BigInteger.Parse("${value}")`),
  text: quote,
  list: (items) => (items.length === 0 ? 'new object[0]' : `new object[] { ${items.join(', ')} }`),
  object: (entries) =>
    `new System.Collections.Generic.Dictionary<string, object> { ` +
    `${entries.map(([key, item]) => `{ ${quote(key)}, ${item} }`).join(', ')} }`,
  date: (iso) => `System.DateTimeOffset.Parse("${iso}", System.Globalization.CultureInfo.InvariantCulture)`,
  bytes: (value) => `new byte[] { ${byteList(value)} }`,
};

const literal = createLiteral(writer);

/** C# of the .NET kernels. */
export const csharpTranslator: Translator = {
  comment: '// Parameters',
  isName: (text) => namePattern.test(text) && !reserved.has(text),
  faultsOf: () => [],
  literal,
  assignment: (name, value) => `${value === null ? 'object' : 'var'} ${name} = ${literal(value)};`,
  secretAssignment: (name, variable) => `var ${name} = System.Environment.GetEnvironmentVariable("${variable}");`,
  infer: () => undefined,
};
