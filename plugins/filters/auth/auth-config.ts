import { type Schema, type SchemaValue, schema } from '../../engine/filter.ts';
import { type ApiKey, secretDigest } from './api-keys.ts';

const { optional, withDefault } = schema;
const scopes = schema.list(schema.text(1, 128), 100);
const keyFields = schema.shape({ id: schema.text(1, 128), secret: secretDigest(8, 512), scopes });

/** Reads `{ id, secret, scopes }`, the secret as its digest. */
const keySchema: Schema<ApiKey> = {
  expects: 'an object of id, secret, scopes',
  // The secret's own schema shows nothing.
  show: (raw) => keyFields.show?.(raw),
  read: (raw, at, faults) => {
    const { id, secret, scopes } = keyFields.read(raw, at, faults);
    return { id, digest: secret, scopes };
  },
};

/** Signature algorithms that a JWKS can carry: asymmetric only, so that a public key is never taken for a secret. */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;
const defaultAlgorithms = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'] as const;

/** Configuration of `showrunner.auth`. */
export const authConfig = schema.shape({
  /** API keys; secrets of 8 characters or more. Only their hashes are kept. */
  keys: withDefault(schema.list(keySchema), []),
  /** Path or https URL of the JWKS (http only to this machine); absent = no JWTs. */
  jwks: optional(schema.text(1, 2048)),
  /** Required `iss` and `aud`; absent = not checked. */
  issuer: optional(schema.text(1, 2048)),
  audience: optional(schema.text(1, 2048)),
  algorithms: withDefault(schema.list(schema.oneOf(...algorithms), algorithms.length), defaultAlgorithms),
  /** How far clocks may differ, for `exp` and `nbf`, in seconds. */
  clockToleranceSeconds: withDefault(schema.number(0, 300), 30),
  /** How long read keys are used, in ms. */
  jwksCacheMs: withDefault(schema.integer(1000, 86_400_000), 600_000),
  /** Least time between two readings, whatever tokens ask for, in ms. */
  jwksCooldownMs: withDefault(schema.integer(0, 3_600_000), 10_000),
  jwksTimeoutMs: withDefault(schema.integer(10, 60_000), 3000),
  /** Client certificates by common name; absent names are refused. */
  certificates: withDefault(schema.list(schema.shape({ commonName: schema.text(1, 256), scopes })), []),
  /** Globs on paths open to everybody, e.g. `/grpc.health.v1.Health/*`. */
  openPaths: withDefault(schema.list(schema.text(1, 256), 100), []),
  /** Scope that the principal must hold, by glob on the service name; each matching entry counts. */
  requiredScopes: withDefault(schema.table(schema.text(1, 128)), new Map<string, string>()),
  /** Calls without any credentials pass, as principal `anonymous` with `anonymousScopes`. */
  allowAnonymous: withDefault(schema.flag(), false),
  anonymousScopes: withDefault(scopes, []),
});

/** The configuration as it was read. */
export type AuthConfig = SchemaValue<typeof authConfig>;
