import { AppError } from '../../server/core/errors.ts';
import { secretMissing, secretTooShort } from '../errors.ts';
import type { Redactor } from '../outputs/redactor.ts';
import { secretVariable } from '../parameters/secret-reference.ts';

/** Where secrets come from; only names that it allows are ever asked for. */
export interface SecretProvider {
  /** The value; undefined when the name is not allowed or not there (which of the two is not told). */
  resolve(name: string): string | undefined | Promise<string | undefined>;
}

/** Shorter values would redact ordinary text. */
const minLength = 6;

/** Secrets from environment variables: `allowed` lists the names, each its own variable. */
export function createEnvSecrets(
  env: Readonly<Record<string, string | undefined>>,
  allowed: readonly string[],
): SecretProvider {
  const names = new Set(allowed);
  return { resolve: (name) => (names.has(name) ? env[name] : undefined) };
}

/** Name → value for every name. Throws NOTEBOOK_SECRET_MISSING, NOTEBOOK_SECRET_TOO_SHORT. */
export async function resolveSecrets(
  names: readonly string[],
  provider: SecretProvider | undefined,
): Promise<Readonly<Record<string, string>>> {
  const entries: [string, string][] = [];
  for (const name of names) {
    const value = await provider?.resolve(name);
    if (value === undefined) throw secretMissing(name);
    if (value.length < minLength) throw secretTooShort(name, minLength);
    entries.push([name, value]);
  }
  return Object.fromEntries(entries);
}

/** The kernel's environment variables for the secrets. */
export function secretEnvironment(secrets: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(secrets).map(([name, value]) => [secretVariable(name), value]));
}

/** The error without secrets: what a kernel wrote before it failed to start may show its environment. */
export function withoutSecrets(error: unknown, { text, value }: Redactor): unknown {
  if (!(error instanceof AppError) || text(error.message) === error.message) return error;
  const { code, reason, metadata } = error;
  // Without the cause, whose text may hold the same.
  return new AppError({ code, reason, message: text(error.message), metadata: value({ ...metadata }) });
}
