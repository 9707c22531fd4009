/** BCP 47 form of a container's language tag (`eng` → `en`); empty when it is none. */
export function languageTag(tag: string): string {
  if (tag === '' || tag === 'und') return '';
  try {
    return Intl.getCanonicalLocales(tag)[0] ?? '';
  } catch {
    return '';
  }
}
