import { AppError, Code } from '../../engine/filter.ts';

// None of these says more about a credential than its holder knows: no stored id, no hint of how far it matched.

function unauthenticated(reason: string, message: string, cause?: unknown): AppError {
  return new AppError({ code: Code.UNAUTHENTICATED, reason, message, ...(cause === undefined ? {} : { cause }) });
}

/** Neither key nor token nor certificate. */
export function credentialsMissing(): AppError {
  const message = 'credentials are required: x-api-key, or authorization: Bearer with a key or token';
  return unauthenticated('CREDENTIALS_MISSING', message);
}

/** A credential has no form of one; `what` says which. */
export function credentialsMalformed(what: string): AppError {
  return unauthenticated('CREDENTIALS_MALFORMED', what);
}

/** Two credentials that may differ: neither is taken. */
export function credentialsAmbiguous(): AppError {
  return unauthenticated('CREDENTIALS_AMBIGUOUS', 'expected x-api-key or authorization, not both');
}

/** No entry has this key. */
export function apiKeyInvalid(): AppError {
  return unauthenticated('API_KEY_INVALID', 'the API key is not known');
}

/** The certificate is trusted, and maps to nobody. */
export function certificateUnknown(): AppError {
  return unauthenticated('CERTIFICATE_UNKNOWN', 'the client certificate names no known principal');
}

/** Nothing to check a credential by, and anonymous calls are not allowed. */
export function authNotConfigured(): AppError {
  const message =
    'no way of authentication is configured: set API keys, a JWKS or certificates, or allow anonymous calls';
  return unauthenticated('AUTH_NOT_CONFIGURED', message);
}

/** `exp` of the token has passed. */
export function tokenExpired(cause: unknown): AppError {
  return unauthenticated('TOKEN_EXPIRED', 'the token has expired', cause);
}

/** A claim is absent or wrong: `exp`, `nbf`, `iss`, `aud`, `sub`. */
export function tokenClaimInvalid(claim: string, cause?: unknown): AppError {
  return new AppError({
    code: Code.UNAUTHENTICATED,
    reason: 'TOKEN_CLAIM_INVALID',
    message: `claim "${claim}" of the token is absent or not as required`,
    metadata: { claim },
    cause,
  });
}

/** Signature, algorithm or form. */
export function tokenInvalid(cause: unknown): AppError {
  return unauthenticated(
    'TOKEN_INVALID',
    'the token is malformed, or not signed by an accepted key and algorithm',
    cause,
  );
}

/** The signing keys cannot be had: the token can be neither accepted nor refused. */
export function jwksUnreachable(cause: unknown): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'JWKS_UNREACHABLE',
    message: 'the keys that verify tokens cannot be read',
    retryAfterMs: 1000,
    cause,
  });
}

/** The principal is known and lacks the scope of the service. */
export function scopeMissing(scope: string): AppError {
  return new AppError({
    code: Code.PERMISSION_DENIED,
    reason: 'SCOPE_MISSING',
    message: `scope "${scope}" is required`,
    metadata: { scope },
  });
}
