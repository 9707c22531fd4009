import type { FieldViolation } from '../../server/core/errors.ts';
import type { JsonValue } from '../nbformat/json-value.ts';

/** A float that is whole, e.g. `1.0`: the plain number 1 is an integer in the languages that tell the two apart. */
export class WholeFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** The number as a value that is a float in every language; -0, fractions and numbers over 53 bits are so as they are. */
export function asFloat(value: number): number | WholeFloat {
  return isPlainInteger(value) ? new WholeFloat(value) : value;
}

/** The integer that the whole number stands for, exactly: `-0` is 0. */
export function asInteger(value: number): number | bigint {
  return Number.isSafeInteger(value) ? value + 0 : BigInt(value);
}

/** True for a number that is written as an integer: whole, of at most 53 bits, and not -0. */
export function isPlainInteger(value: ParameterValue): value is number {
  return Number.isSafeInteger(value) && !Object.is(value, -0);
}

/** What a notebook parameter may be: JSON plus NaN, ±Infinity, 64-bit integers as bigint, moments and bytes. */
export type ParameterValue =
  | null
  | boolean
  | number
  | WholeFloat
  | bigint
  | string
  | Date
  | Uint8Array
  | readonly ParameterValue[]
  | { readonly [key: string]: ParameterValue };

/** Parameter name → value. */
export type Parameters = Readonly<Record<string, ParameterValue>>;

/** The kinds a value or a declared type can be. */
export type ValueKind = 'string' | 'number' | 'bigint' | 'boolean' | 'date' | 'bytes' | 'list' | 'object' | 'null';

const maxDepth = 50;

/** The kind of a checked value. */
export function kindOf(value: ParameterValue): ValueKind {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Date) return 'date';
  if (value instanceof Uint8Array) return 'bytes';
  if (value instanceof WholeFloat) return 'number';
  const type = typeof value;
  return type === 'string' || type === 'number' || type === 'bigint' || type === 'boolean' ? type : 'object';
}

/** Names every part of `value` that no notebook can receive (undefined, functions, class instances, deep nests). */
export function faultsOfValue(value: unknown, field: string, depth = 0): FieldViolation[] {
  if (depth > maxDepth) return [{ field, description: `nests deeper than ${maxDepth} levels` }];
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'bigint':
      return [];
    case 'object':
      break;
    default:
      return [{ field, description: `has the unsupported type ${typeof value}` }];
  }
  if (value === null || value instanceof Uint8Array || value instanceof WholeFloat) return [];
  if (value instanceof Date) {
    const year = value.getUTCFullYear();
    return year >= 1 && year <= 9_999 ? [] : [{ field, description: 'must be a moment of the years 1 to 9999' }];
  }
  if (Array.isArray(value)) {
    return Array.from(value, (item: unknown, index) => faultsOfValue(item, `${field}[${index}]`, depth + 1)).flat();
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    return [{ field, description: `has the unsupported type ${value.constructor.name}` }];
  }
  return Object.entries(value).flatMap(([key, item]) => faultsOfValue(item, `${field}.${key}`, depth + 1));
}

/** The value as JSON can hold it, for metadata: bigint, NaN/±Infinity, moments (ISO) and bytes (base64) become text. */
export function parameterToJson(value: ParameterValue): JsonValue {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof WholeFloat) return value.value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (isList(value)) return value.map(parameterToJson);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, parameterToJson(item)]));
}

/** Array.isArray that also narrows readonly lists. */
export function isList(value: ParameterValue): value is readonly ParameterValue[] {
  return Array.isArray(value);
}
