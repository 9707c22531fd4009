import { isJsonObject } from '../nbformat/json-value.ts';

const namePattern = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;

/** The name in `{"$secret": "NAME"}`; undefined for any other value. The name is not checked. */
export function secretNameOf(value: unknown): string | undefined {
  if (!isJsonObject(value) || Object.keys(value).length !== 1) return undefined;
  const name = value['$secret'];
  return typeof name === 'string' ? name : undefined;
}

/** True when the value holds a secret reference anywhere below its top. */
export function holdsNestedSecret(value: unknown): boolean {
  if (Array.isArray(value)) return value.some((item) => isOrHoldsSecret(item));
  if (!isJsonObject(value)) return false;
  return Object.values(value).some((item) => isOrHoldsSecret(item));
}

function isOrHoldsSecret(value: unknown): boolean {
  return secretNameOf(value) !== undefined || holdsNestedSecret(value);
}

/** True for a name that a secret can have: letters, digits and `_`, at most 64. */
export function isSecretName(name: string): boolean {
  return namePattern.test(name);
}

/** The kernel's environment variable by which a secret arrives. */
export function secretVariable(name: string): string {
  return `NOTEBOOK_SECRET_${name}`;
}
