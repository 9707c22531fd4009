import { isList, kindOf, type ParameterValue } from '../parameter-value.ts';
import {
  byteList,
  createLiteral,
  faultsOfLiteral,
  floatText,
  isInt64,
  isObject,
  type LiteralWriter,
  numberTypeOf,
  refuseText,
} from './literal-writer.ts';
import type { Translator } from './translator.ts';

const namePattern = /^[\p{L}_][\p{L}\p{N}_]{0,127}!?$/u;

const reserved = new Set(
  `_ abstract baremodule begin break catch ccall const continue do else elseif end export false finally for function
  global if import in isa let local macro module mutable new primitive quote return struct true try type using var
  where while nothing missing NaN Inf Main Base Core Module String Dates eval`.split(/\s+/),
);

const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** `$` begins an interpolation, that is: code. */
function quote(text: string): string {
  const escaped = text.replace(/[^\x20-\x7e]|["\\$]/gu, (character) => {
    if (/["\\$]/.test(character)) return `\\${character}`;
    const point = (character.codePointAt(0) ?? 0).toString(16);
    return short[character] ?? (point.length > 4 ? `\\U${point.padStart(8, '0')}` : `\\u${point.padStart(4, '0')}`);
  });
  return `"${escaped}"`;
}

/** Julia would turn `[1, true]` into integers, and `[1, 0.5]` and `[[1], [0.5]]` into floats. */
function listLiteral(items: readonly string[], values: readonly ParameterValue[]): string {
  const kinds = new Set(values.map((value) => numberTypeOf(value) ?? kindOf(value)));
  const isUniform = kinds.size === 1 && !kinds.has('bigint') && !kinds.has('list');
  return `${isUniform ? '' : 'Any'}[${items.join(', ')}]`;
}

const writer: LiteralWriter = {
  nothing: 'nothing',
  yes: 'true',
  no: 'false',
  notANumber: 'NaN',
  infinity: 'Inf',
  minusInfinity: '-Inf',
  integer: String,
  float: floatText,
  bigint: (value) => (isInt64(value) ? `parse(Int64, "${value}")` : `parse(BigInt, "${value}")`),
  text: quote,
  list: listLiteral,
  object: (entries) => `Dict{String, Any}(${entries.map(([key, item]) => `${quote(key)} => ${item}`).join(', ')})`,
  date: (iso) => `Dates.DateTime("${iso.replace('Z', '')}")`,
  bytes: (value) => `UInt8[${byteList(value)}]`,
  refuse: (value) => refuseText(value, 'Julia', { nul: true, loneSurrogate: false }),
};

const literal = createLiteral(writer);

/** Julia 1. Moments are in UTC, without a zone, as its standard library has none. */
export const juliaTranslator: Translator = {
  comment: '# Parameters',
  isName: (text) => namePattern.test(text) && !reserved.has(text),
  faultsOf: (value, field) => faultsOfLiteral(writer, value, field),
  literal,
  assignment: (name, value) => `${name} = ${literal(value)}`,
  secretAssignment: (name, variable) => `${name} = ENV["${variable}"]`,
  prelude: (values) => (values.some(holdsDate) ? 'import Dates' : undefined),
  infer: () => undefined,
};

function holdsDate(value: ParameterValue): boolean {
  if (value instanceof Date) return true;
  if (isList(value)) return value.some(holdsDate);
  return isObject(value) && Object.values(value).some(holdsDate);
}
