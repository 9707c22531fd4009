import {
  type Call,
  type Clock,
  defineFilter,
  globMatcher,
  messageOf,
  type Principal,
  pathMatcher,
  rememberPaths,
  type TextMatcher,
  tlsPeer,
} from '../../engine/filter.ts';
import { type ApiKeyFinder, createApiKeyFinder } from './api-keys.ts';
import { type AuthConfig, authConfig } from './auth-config.ts';
import {
  apiKeyInvalid,
  authNotConfigured,
  certificateUnknown,
  credentialsAmbiguous,
  credentialsMalformed,
  credentialsMissing,
  scopeMissing,
} from './auth-errors.ts';
import { checkLocation } from './jwks-source.ts';
import { createTokenVerifier, type TokenVerifier } from './verify-token.ts';

interface AuthState {
  readonly findKey: ApiKeyFinder;
  readonly verifyToken: TokenVerifier | undefined;
  readonly certificates: ReadonlyMap<string, Principal>;
  readonly isOpen: TextMatcher;
  /** Scopes that a service requires. */
  readonly scopesOf: (service: string) => readonly string[];
  /** Who calls without credentials are, if they may call. */
  readonly anonymous: Principal | undefined;
  readonly isConfigured: boolean;
}

const maxCredentialLength = 16_384;
const tokenForm = /^[\w-]+\.[\w-]+\.[\w-]*$/;

function scopeFinder({ requiredScopes }: AuthConfig): (service: string) => readonly string[] {
  const rules = [...requiredScopes].map(([glob, scope]) => ({ matches: globMatcher([glob]), scope }));
  return rememberPaths((service) => rules.filter(({ matches }) => matches(service)).map(({ scope }) => scope));
}

function createState(config: AuthConfig, clock: Clock): AuthState {
  const { jwks, keys, certificates } = config;
  if (jwks !== undefined) {
    try {
      checkLocation(jwks);
    } catch (error) {
      throw new Error(`JWKS cannot be used: ${messageOf(error)}`, { cause: error });
    }
  }
  const ids = new Set(keys.map(({ id }) => id));
  if (ids.size < keys.length) throw new Error('two API keys have the same id');
  return {
    findKey: createApiKeyFinder(keys),
    verifyToken: jwks === undefined ? undefined : createTokenVerifier(config, jwks, clock),
    certificates: new Map(
      certificates.map(({ commonName, scopes }) => [
        commonName,
        { id: `cert:${commonName}`, scopes: new Set(scopes), method: 'mtls' },
      ]),
    ),
    isOpen: pathMatcher(config.openPaths),
    scopesOf: scopeFinder(config),
    anonymous: config.allowAnonymous
      ? { id: 'anonymous', scopes: new Set(config.anonymousScopes), method: 'none' }
      : undefined,
    isConfigured: keys.length > 0 || jwks !== undefined || certificates.length > 0,
  };
}

function bearerOf(authorization: string): string {
  const match = /^bearer +([^\s,]+)$/i.exec(authorization);
  if (match?.[1] === undefined) throw credentialsMalformed('authorization must read "Bearer <key or token>"');
  return match[1];
}

/** Who calls, or a throw. Wrong credentials are refused even where none are needed: nothing falls through. */
function authenticate(call: Call, state: AuthState): Principal | Promise<Principal> {
  const key = call.requestMetadata.get('x-api-key');
  const authorization = call.requestMetadata.get('authorization');
  if (key !== undefined && authorization !== undefined) throw credentialsAmbiguous();
  const credential = key ?? (authorization === undefined ? undefined : bearerOf(authorization));
  if (credential !== undefined) {
    if (credential === '' || credential.length > maxCredentialLength) {
      throw credentialsMalformed(`a credential has 1 to ${maxCredentialLength} characters`);
    }
    if (key === undefined && state.verifyToken !== undefined && tokenForm.test(credential)) {
      return state.verifyToken(credential);
    }
    const found = state.findKey(credential);
    if (found === undefined) throw state.isConfigured ? apiKeyInvalid() : authNotConfigured();
    return found;
  }
  const peer = state.certificates.size === 0 ? undefined : call.attributes.get(tlsPeer);
  if (peer !== undefined) {
    const found = state.certificates.get((peer as { commonName: string }).commonName);
    if (found === undefined) throw certificateUnknown();
    return found;
  }
  if (state.anonymous !== undefined) return state.anonymous;
  throw state.isConfigured ? credentialsMissing() : authNotConfigured();
}

function admit(call: Call, state: AuthState, principal: Principal): void {
  for (const scope of state.scopesOf(call.service)) {
    if (principal.scopes.has(scope)) continue;
    // To a caller without credentials "log in" is the useful answer, not "you may not".
    throw principal === state.anonymous ? credentialsMissing() : scopeMissing(scope);
  }
  call.principal = principal;
}

/**
 * Authentication: API key, JWT or client certificate gives `call.principal`; then the scopes that the service
 * requires. Refuses in every doubt: UNAUTHENTICATED with the cause, UNAVAILABLE when keys cannot be read.
 */
export const filter = defineFilter({
  id: 'showrunner.auth',
  version: '1.0.0',
  type: 'inbound',
  order: -500,
  category: 'authentication',
  failurePolicy: 'closed',
  timeoutMs: 10_000,
  config: authConfig,
  open: (config: AuthConfig, { clock, log }): AuthState => {
    const state = createState(config, clock);
    if (state.anonymous !== undefined) log.warn('calls without credentials are allowed');
    else if (!state.isConfigured) log.warn('no credentials are configured: all calls are refused');
    if (config.jwks !== undefined && (config.issuer === undefined || config.audience === undefined)) {
      log.warn('tokens of any issuer or audience are accepted: set both');
    }
    return state;
  },
  run: (call, { state }) => {
    if (state.isOpen(call.path)) return;
    const principal = authenticate(call, state);
    if (!(principal instanceof Promise)) {
      admit(call, state, principal);
      return;
    }
    return principal.then((verified) => admit(call, state, verified));
  },
});
