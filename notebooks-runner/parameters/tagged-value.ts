import { isJsonObject } from '../nbformat/json-value.ts';

/** A value that JSON and YAML cannot write, as an object with one key: `{"$bigint": "9007199254740993"}`. */
const decoders: Readonly<Record<string, (text: string) => unknown>> = {
  $bigint: (text) => (/^-?\d{1,400}$/.test(text) ? BigInt(text) : undefined),
  $float: (text) => floats[text.toLowerCase()],
  $date: (text) => {
    const date = new Date(text);
    return Number.isNaN(date.getTime()) ? undefined : date;
  },
  $bytes: (text) => (/^[A-Za-z0-9+/]*={0,2}$/.test(text) ? new Uint8Array(Buffer.from(text, 'base64')) : undefined),
};

const floats: Readonly<Record<string, number>> = {
  nan: Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  infinity: Number.POSITIVE_INFINITY,
  '-inf': Number.NEGATIVE_INFINITY,
  '-infinity': Number.NEGATIVE_INFINITY,
};

/**
 * Replaces tagged objects by their values, at any depth: `$bigint` (decimal text), `$float` (`nan`, `inf`, `-inf`),
 * `$date` (ISO 8601) and `$bytes` (base64). What cannot be read stays as it is. `{"$secret": …}` is left alone.
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
