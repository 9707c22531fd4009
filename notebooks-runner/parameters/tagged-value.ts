import { isJsonObject, type JsonValue } from '../nbformat/json-value.ts';
import { asFloat, isList, type ParameterValue, WholeFloat } from './parameter-value.ts';

/** A value that JSON and YAML cannot write, as an object with one key: `{"$bigint": "9007199254740993"}`. */
const decoders: Readonly<Record<string, (text: string) => unknown>> = {
  $bigint: (text) => (/^-?\d{1,400}$/.test(text) ? BigInt(text) : undefined),
  $float: (text) => floats[text.toLowerCase()] ?? (decimal.test(text) ? asFloat(Number(text)) : undefined),
  $date: (text) => {
    const date = new Date(text);
    return Number.isNaN(date.getTime()) ? undefined : date;
  },
  $bytes: (text) => (/^[A-Za-z0-9+/]*={0,2}$/.test(text) ? new Uint8Array(Buffer.from(text, 'base64')) : undefined),
};

const decimal = /^-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

const floats: Readonly<Record<string, number>> = {
  nan: Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  infinity: Number.POSITIVE_INFINITY,
  '-inf': Number.NEGATIVE_INFINITY,
  '-infinity': Number.NEGATIVE_INFINITY,
};

/**
 * Replaces tagged objects by their values, at any depth: `$bigint` (decimal text), `$float` (`nan`, `inf`, `-inf`,
 * or a decimal number like `1.0`), `$date` (ISO 8601) and `$bytes` (base64). What cannot be read stays as it is. `{"$secret": …}` is left alone.
 */
export function decodeTaggedValues(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decodeTaggedValues);
  if (!isJsonObject(value) || Object.getPrototypeOf(value) !== Object.prototype) return value;
  const entries = Object.entries(value);
  const [only] = entries;
  if (entries.length === 1 && only !== undefined && typeof only[1] === 'string' && Object.hasOwn(decoders, only[0])) {
    return decoders[only[0]]?.(only[1]) ?? value;
  }
  // Object.fromEntries defines properties, so that a key "__proto__" stays a key.
  return Object.fromEntries(entries.map(([key, item]) => [key, decodeTaggedValues(item)]));
}

/** The value as JSON from which `decodeTaggedValues` makes the same again, as `parameterToJson` does not promise. */
export function encodeTaggedValues(value: ParameterValue): JsonValue {
  if (typeof value === 'bigint') return { $bigint: String(value) };
  if (value instanceof WholeFloat) return { $float: `${value.value}.0` };
  if (Object.is(value, -0)) return { $float: '-0.0' };
  if (typeof value === 'number') return Number.isFinite(value) ? value : { $float: floatWord(value) };
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return { $date: value.toISOString() };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  if (isList(value)) return value.map(encodeTaggedValues);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, encodeTaggedValues(item)]));
}

function floatWord(value: number): string {
  return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
}
