import { randomFillSync } from 'node:crypto';

/** Random source, injected wherever something draws, so that tests replay a run from its seed. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

const pool = new Uint32Array(256);
let used = pool.length;

/** Cryptographic source, drawn 256 words at a time. */
export const systemRandom: Random = {
  next: () => {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    return (pool[used++] ?? 0) / 2 ** 32;
  },
};

/** Deterministic source (mulberry32): the same seed gives the same sequence on every machine. */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next: () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    },
  };
}
