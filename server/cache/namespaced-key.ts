import { type FieldViolation, invalidFields } from '../core/errors.ts';

/** memcached's bound on a whole key: namespace, colon and key. */
const maxWireBytes = 250;
const namespacePattern = /^[a-z0-9-]{1,64}$/;
/** White space, control characters, and what UTF-8 cannot carry. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const badCharacters = /[\x00-\x20\x7f]|\p{Surrogate}/u;

function keyFault(key: string, roomBytes: number): string | undefined {
  if (key === '') return 'must not be empty';
  if (badCharacters.test(key)) return 'must not have white space, control characters or broken Unicode';
  const bytes = Buffer.byteLength(key);
  return bytes > roomBytes ? `must be at most ${roomBytes} bytes in this namespace, got ${bytes}` : undefined;
}

/**
 * The keys as the store has them, `<namespace>:<key>`: no two namespaces share a key, since a namespace has no colon.
 * `fieldOf` names the request field of the n-th key. Throws INVALID_FIELDS with every fault of the request.
 */
export function toWireKeys(namespace: string, keys: readonly string[], fieldOf: (index: number) => string): string[] {
  const faults: FieldViolation[] = [];
  if (!namespacePattern.test(namespace)) {
    faults.push({ field: 'namespace', description: 'must be 1 to 64 characters of a-z, 0-9 and -' });
  }
  const roomBytes = maxWireBytes - Math.min(namespace.length, 64) - 1;
  for (const [index, key] of keys.entries()) {
    const description = keyFault(key, roomBytes);
    if (description !== undefined) faults.push({ field: fieldOf(index), description });
  }
  if (faults.length > 0) throw invalidFields(faults);
  return keys.map((key) => `${namespace}:${key}`);
}

/** The store's key of one request field `key`. Throws INVALID_FIELDS. */
export function toWireKey(namespace: string, key: string): string {
  toWireKeys(namespace, [key], () => 'key');
  return `${namespace}:${key}`;
}
