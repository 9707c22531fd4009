import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { messageOf } from '../../../server/core/errors.ts';
import { filterLoadFailed } from '../filter-errors.ts';

const pemBlock = /-----BEGIN PUBLIC KEY-----[\s\S]+?-----END PUBLIC KEY-----/g;

/** Reads the ed25519 public keys of a PEM file. Throws FILTER_LOAD_FAILED when there is none, or one of another kind. */
export function readSignerKeys(file: string): KeyObject[] {
  try {
    const keys = (readFileSync(file, 'utf8').match(pemBlock) ?? []).map((pem) => createPublicKey(pem));
    if (keys.length === 0) throw new Error('holds no public key');
    const other = keys.find((key) => key.asymmetricKeyType !== 'ed25519');
    if (other !== undefined) throw new Error(`holds a key of type ${other.asymmetricKeyType}; only ed25519 is read`);
    return keys;
  } catch (error) {
    throw filterLoadFailed(file, `signer keys: ${messageOf(error)}`, error);
  }
}

/** Undefined when the signature over the source is by one of the keys, else what is wrong with it. */
export function signatureFault(
  source: string,
  signature: Uint8Array | undefined,
  signers: readonly KeyObject[],
): string | undefined {
  const isGiven = signature !== undefined && signature.length > 0;
  if (signers.length === 0) return isGiven ? 'no signer keys are configured to check it' : undefined;
  if (!isGiven) return 'is missing, and this server requires one';
  const bytes = Buffer.from(source);
  const isGood = signers.some((key) => verify(null, bytes, key, signature));
  return isGood ? undefined : 'is by none of the configured keys, or of another source';
}
