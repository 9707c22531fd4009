import { randomBytes } from 'node:crypto';

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
  const bytes = randomBytes(13);
  let tail = '';
  for (const byte of bytes) tail += alphabet[byte % 32];
  return encode(nowMs, 9) + tail;
}
