import { randomFillSync } from 'node:crypto';

const tailLength = 13;
// Drawn for many ids at once: one draw from the system costs more than all the rest of an id.
const pool = new Uint8Array(tailLength * 256);
let used = pool.length;

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

function encode(value: number, length: number): string {
  let text = '';
  for (let rest = value, i = 0; i < length; i++) {
    text = alphabet[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

/**
 * A new id: 9 characters of time (ms, Crockford base32) and 13 random ones, lower-case.
 * Ids of later milliseconds sort after earlier ones.
 */
export function newId(nowMs: number): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  let id = encode(nowMs, 9);
  for (const end = used + tailLength; used < end; used++) id += alphabet[(pool[used] ?? 0) % 32];
  return id;
}

/** A text that sorts after all ids of earlier milliseconds and before those of this one. */
export function leastIdAt(atMs: number): string {
  return encode(Math.max(0, Math.floor(atMs)), 9);
}
