import type { FieldViolation } from '../../../server/core/errors.ts';
import { isList, isPlainInteger, kindOf, type ParameterValue, WholeFloat } from '../parameter-value.ts';

/** How one programming language writes values; list items and object values come already written. */
export interface LiteralWriter {
  readonly nothing: string;
  readonly yes: string;
  readonly no: string;
  readonly notANumber: string;
  readonly infinity: string;
  readonly minusInfinity: string;
  /** An integer of at most 53 bits. */
  integer(value: number): string;
  /** Any other finite number, and whole ones that are floats. */
  float(value: number): string;
  bigint(value: bigint): string;
  text(value: string): string;
  list(items: readonly string[], values: readonly ParameterValue[]): string;
  object(entries: readonly (readonly [key: string, item: string])[]): string;
  /** A moment, e.g. `2024-02-29T12:30:00.000Z`. */
  date(iso: string): string;
  bytes(value: Uint8Array): string;
  /** Why this one value (not its parts) cannot be written; undefined when it can. `depth` is 0 for a parameter. */
  refuse?(value: ParameterValue, depth: number): string | undefined;
}

/** The function that writes any value by the writer's rules. */
export function createLiteral(writer: LiteralWriter): (value: ParameterValue) => string {
  const literal = (value: ParameterValue): string => {
    if (value === null) return writer.nothing;
    if (typeof value === 'string') return writer.text(value);
    if (typeof value === 'boolean') return value ? writer.yes : writer.no;
    if (typeof value === 'bigint') return writer.bigint(value);
    if (typeof value === 'number') return numberLiteral(writer, value);
    if (value instanceof WholeFloat) return writer.float(value.value);
    if (value instanceof Date) return writer.date(value.toISOString());
    if (value instanceof Uint8Array) return writer.bytes(value);
    if (isList(value)) return writer.list(value.map(literal), value);
    return writer.object(Object.entries(value).map(([key, item]) => [key, literal(item)] as const));
  };
  return literal;
}

function numberLiteral(writer: LiteralWriter, value: number): string {
  if (Number.isNaN(value)) return writer.notANumber;
  if (!Number.isFinite(value)) return value > 0 ? writer.infinity : writer.minusInfinity;
  return isPlainInteger(value) ? writer.integer(value) : writer.float(value);
}

/** Every part of the value that the language cannot hold, with the reason. */
export function faultsOfLiteral(
  writer: LiteralWriter,
  value: ParameterValue,
  field: string,
  depth = 0,
): FieldViolation[] {
  const refused = writer.refuse?.(value, depth);
  if (refused !== undefined) return [{ field, description: refused }];
  if (isList(value)) {
    return value.flatMap((item, index) => faultsOfLiteral(writer, item, `${field}[${index}]`, depth + 1));
  }
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, item]) => [
    ...faultsOfLiteral(writer, key, `${field}.${key}`, depth + 1),
    ...faultsOfLiteral(writer, item, `${field}.${key}`, depth + 1),
  ]);
}

/** True for an object of named values. */
export function isObject(value: ParameterValue): value is Readonly<Record<string, ParameterValue>> {
  return kindOf(value) === 'object';
}

/** `integer` or `float` as the number is written; undefined for another value. */
export function numberTypeOf(value: ParameterValue): 'integer' | 'float' | undefined {
  if (isPlainInteger(value)) return 'integer';
  return kindOf(value) === 'number' ? 'float' : undefined;
}

/** The shortest decimal text that reads back as the same double and as no integer: `0.1`, `1.0`, `1e+21`, `-0.0`. */
export function floatText(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  if (Number.isSafeInteger(value)) return `${value}.0`;
  const text = String(value);
  return /^-?\d+$/.test(text) ? value.toExponential() : text;
}

const surrogates = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** Reason to refuse text that the language's strings cannot hold; undefined when they can. */
export function refuseText(
  value: ParameterValue,
  language: string,
  { nul, loneSurrogate }: { readonly nul: boolean; readonly loneSurrogate: boolean },
): string | undefined {
  if (typeof value !== 'string') return undefined;
  if (!nul && value.includes('\0')) return `holds a NUL character, which ${language} cannot keep in text`;
  if (!loneSurrogate && surrogates.test(value)) return `holds half a character, which ${language} cannot keep in text`;
  return undefined;
}

const least64 = -(2n ** 63n);
const most64 = 2n ** 63n - 1n;

/** True for integers of at most 64 bits with sign. */
export function isInt64(value: bigint): boolean {
  return value >= least64 && value <= most64;
}

/** True for integers of at most 32 bits with sign. */
export function isInt32(value: number | bigint): boolean {
  return value >= -2_147_483_648 && value <= 2_147_483_647;
}

/** The bytes as decimal numbers, joined by `, `. */
export function byteList(value: Uint8Array, write: (byte: number) => string = String): string {
  return Array.from(value, write).join(', ');
}

/** `\uXXXX` for one UTF-16 unit. */
function unitEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Text without `\`, `"` and whatever is not printable ASCII: short escapes where given, else `\\uXXXX` per UTF-16 unit. */
export function escapeUnits(text: string, short: Readonly<Record<string, string>>): string {
  return text.replace(
    /[^\x20-\x7e]|["\\]/g,
    (unit) => short[unit] ?? (unit === '"' || unit === '\\' ? `\\${unit}` : unitEscape(unit)),
  );
}
