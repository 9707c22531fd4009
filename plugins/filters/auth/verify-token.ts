import { errors, type JWTPayload, jwtVerify } from 'jose';
import { AppError, type Clock, type Principal } from '../../engine/filter.ts';
import type { AuthConfig } from './auth-config.ts';
import { tokenClaimInvalid, tokenExpired, tokenInvalid } from './auth-errors.ts';
import { createJwksSource } from './jwks-source.ts';

/** Gives the principal of a JWT, or throws why it is refused. */
export type TokenVerifier = (token: string) => Promise<Principal>;

const maxScopes = 256;

function scopesOf({ scope, scp }: JWTPayload): ReadonlySet<string> {
  const raw = scope ?? scp;
  const list = typeof raw === 'string' ? raw.split(' ') : Array.isArray(raw) ? raw : [];
  return new Set(list.filter((item) => typeof item === 'string' && item !== '').slice(0, maxScopes));
}

function refusal(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof errors.JWTExpired) return tokenExpired(error);
  if (error instanceof errors.JWTClaimValidationFailed) return tokenClaimInvalid(error.claim, error);
  return tokenInvalid(error);
}

/**
 * Verifies signature (accepted algorithms only), `exp` (required), `nbf`, `iss`, `aud` by the injected clock. The
 * principal is `sub` (required); scopes come from `scope` (RFC 8693: separated by spaces) or the list `scp`.
 */
export function createTokenVerifier(config: AuthConfig, location: string, clock: Clock): TokenVerifier {
  const { issuer, audience, algorithms, clockToleranceSeconds: clockTolerance } = config;
  const keys = createJwksSource({
    ...{ location, clock },
    cacheMs: config.jwksCacheMs,
    cooldownMs: config.jwksCooldownMs,
    timeoutMs: config.jwksTimeoutMs,
  });
  const options = {
    algorithms: [...algorithms],
    clockTolerance,
    requiredClaims: ['exp', 'sub'],
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  };
  return async (token) => {
    try {
      const { payload } = await jwtVerify(token, keys, { ...options, currentDate: new Date(clock.now()) });
      const { sub } = payload;
      if (typeof sub !== 'string' || sub === '' || sub.length > 256) throw tokenClaimInvalid('sub');
      return { id: sub, scopes: scopesOf(payload), method: 'jwt' };
    } catch (error) {
      throw refusal(error);
    }
  };
}
