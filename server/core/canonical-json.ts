import { createHash } from 'node:crypto';

/**
 * JSON text that is equal for equal values: keys sorted, undefined members left out. Throws TypeError for a number
 * that JSON cannot hold (NaN, infinities), since it would silently become null.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member === 'number' && !Number.isFinite(member)) throw new TypeError(`JSON has no number ${member}`);
    if (member === null || typeof member !== 'object' || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** SHA-256 of the canonical JSON text, lower-case hex: equal exactly when the values are. */
export function jsonDigest(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

/** Bytes of a value as JSON in UTF-8. Throws TypeError as canonicalJson. */
export function jsonBytes(value: unknown): number {
  return Buffer.byteLength(canonicalJson(value));
}
