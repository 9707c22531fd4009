import { randomFillSync } from 'node:crypto';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
const timeLength = 9;
const tailLength = 13;

// Drawn for many ids at once: one draw from the system costs more than all the rest of an id.
const pool = Buffer.alloc(tailLength * 256);
/** The pool as characters of ids. */
let tails = '';
let used = pool.length;

let lastMs = -1;
let lastTime = '';

function encode(value: number, length: number): string {
  let text = '';
  for (let rest = value, i = 0; i < length; i++) {
    text = alphabet[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

function refill(): void {
  randomFillSync(pool);
  for (let i = 0; i < pool.length; i++) pool[i] = alphabet.charCodeAt((pool[i] ?? 0) % 32);
  tails = pool.toString('latin1');
  used = 0;
}

/**
 * A new id: 9 characters of time (ms, Crockford base32) and 13 random ones, lower-case.
 * Ids of later milliseconds sort after earlier ones.
 */
export function newId(nowMs: number): string {
  if (used === pool.length) refill();
  if (nowMs !== lastMs) {
    lastMs = nowMs;
    lastTime = encode(nowMs, timeLength);
  }
  const from = used;
  used += tailLength;
  return lastTime + tails.slice(from, used);
}

const maxTimeMs = 32 ** timeLength - 1;

/** A text that sorts after all ids of earlier milliseconds and before those of this one (until the year 3084). */
export function leastIdAt(atMs: number): string {
  return encode(Math.min(maxTimeMs, Math.max(0, Math.floor(atMs))), timeLength);
}
