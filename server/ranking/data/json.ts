/** JSON value, as in headers and commit records. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** JSON as stored in records and objects; the value holds nothing that JSON cannot. */
export function encodeJson(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** The value of stored JSON. The type is the writer's word: only for rows and objects that this area writes. */
export function decodeJson<T>(bytes: Uint8Array): T {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')) as T;
}

/** True for an array of strings. */
export function isStringList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string');
}
