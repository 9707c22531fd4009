import { invalidField } from '../../core/errors.ts';

/**
 * An opaque page token: where the next page starts and which list it belongs to.
 * `scope` names the list and its filter, so that a token cannot be carried to another list.
 */
export function encodePageToken(scope: string, after: string): string {
  return Buffer.from(JSON.stringify([scope, after])).toString('base64url');
}

/** Where the page starts; undefined for the first page. Throws INVALID_ARGUMENT for a token that is not of this list. */
export function readPageToken(scope: string, token: string, field = 'page_token'): string | undefined {
  if (token === '') return undefined;
  const parts = parse(token);
  if (parts === undefined || parts[0] !== scope) {
    throw invalidField(field, 'must be the next_page_token of the page before, with the same other fields');
  }
  return parts[1];
}

function parse(token: string): [string, string] | undefined {
  if (token.length > 4096) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    if (!Array.isArray(value) || value.length !== 2) return undefined;
    const [scope, after]: unknown[] = value;
    return typeof scope === 'string' && typeof after === 'string' ? [scope, after] : undefined;
  } catch {
    return undefined;
  }
}
