import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Principal, Schema } from '../../engine/filter.ts';

/** A key as it is kept: its secret is not. */
export interface ApiKey {
  readonly id: string;
  /** Keyed hash of the secret, in hex. */
  readonly digest: string;
  readonly scopes: readonly string[];
}

/** Finds the principal of a secret. */
export type ApiKeyFinder = (secret: string) => Principal | undefined;

// A key of this process alone: a digest that leaks is of no use anywhere else.
const pepper = randomBytes(32).toString('hex');

// The pepper has a fixed length and digests are never shown, so a plain hash over both does; it costs a tenth of an HMAC.
function hashOf(secret: string): Buffer {
  return hash('sha256', pepper + secret, 'buffer');
}

/** Reads a secret as its digest, so that the configuration holds no secret. */
export function secretDigest(least: number, most: number): Schema<string> {
  const expects = `a secret of ${least} to ${most} characters`;
  return {
    expects,
    read: (raw, at, faults) => {
      if (typeof raw === 'string' && raw.length >= least && raw.length <= most) return hashOf(raw).toString('hex');
      faults.push({ field: at, description: `expected ${expects}` });
      return '';
    },
  };
}

/** Most secrets that are remembered as proven. */
const maxProven = 256;

/**
 * A look-up compares with every entry in constant time, so that its duration tells nothing about which entry, or how
 * much of one, matched. A secret that was proven so is remembered (guesses are not, so that nobody can fill the table):
 * its calls cost a look-up instead of a hash. That look-up compares texts only after their hashes, which are seeded
 * per process, agree, so that its duration says nothing about a guess either.
 */
export function createApiKeyFinder(keys: readonly ApiKey[]): ApiKeyFinder {
  const entries = keys.map(({ id, digest, scopes }) => ({
    hash: Buffer.from(digest, 'hex'),
    principal: Object.freeze<Principal>({ id: `key:${id}`, scopes: new Set(scopes), method: 'api_key' }),
  }));
  const proven = new Map<string, Principal>();
  return (secret) => {
    const known = proven.get(secret);
    if (known !== undefined) return known;
    const given = hashOf(secret);
    let found: Principal | undefined;
    for (const entry of entries) if (timingSafeEqual(entry.hash, given)) found = entry.principal;
    if (found !== undefined) {
      const [oldest] = proven.size >= maxProven ? proven.keys() : [];
      if (oldest !== undefined) proven.delete(oldest);
      proven.set(secret, found);
    }
    return found;
  };
}
