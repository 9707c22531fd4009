import { invalidField } from '../../core/errors.ts';

/** Ids chosen by clients: profiles, devices, sessions. */
export const clientId = /^[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}$/;
/** Ids of resources made by operators: titles, appliances. */
export const slugId = /^[a-z0-9-]{1,63}$/;

/**
 * The ids of a resource name: `readResourceName('name', 'titles/a/encodeSets/b', ['titles', 'encodeSets'], slugId)`
 * gives `['a', 'b']`. Throws INVALID_ARGUMENT that shows the expected form.
 */
export function readResourceName<const C extends readonly string[]>(
  field: string,
  name: string,
  collections: C,
  id: RegExp,
): { [K in keyof C]: string } {
  const ids = findResourceIds(name, collections, id);
  if (ids !== undefined) return ids;
  const form = collections.map((collection) => `${collection}/{${collection.replace(/s$/, '')}}`).join('/');
  throw invalidField(field, `must have the form ${form} with ids of ${id.source}, got "${name.slice(0, 128)}"`);
}

/** As readResourceName, but undefined when the name has another form. */
export function findResourceIds<const C extends readonly string[]>(
  name: string,
  collections: C,
  id: RegExp,
): { [K in keyof C]: string } | undefined {
  const parts = name.split('/');
  if (parts.length !== collections.length * 2) return undefined;
  const ids: string[] = [];
  for (const [index, collection] of collections.entries()) {
    const value = parts[index * 2 + 1] ?? '';
    if (parts[index * 2] !== collection || !id.test(value)) return undefined;
    ids.push(value);
  }
  return ids as { [K in keyof C]: string };
}
