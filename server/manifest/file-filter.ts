import type { EncodeSetFile, FileKind } from './encode-set-record.ts';

/** Which files of a set to give; empty lists and zero bounds bind nothing. */
export interface FileFilter {
  readonly kinds: readonly FileKind[];
  readonly profiles: readonly string[];
  readonly languages: readonly string[];
  readonly minBitrateBps: number;
  readonly maxBitrateBps: number;
}

/** A predicate for the filter. Pure. Languages compare without regard to case, as BCP 47 says. */
export function createFilePredicate(filter: FileFilter): (file: EncodeSetFile) => boolean {
  const kinds = new Set<FileKind>(filter.kinds);
  const profiles = new Set(filter.profiles);
  const languages = new Set(filter.languages.map((language) => language.toLowerCase()));
  const most = filter.maxBitrateBps === 0 ? Number.POSITIVE_INFINITY : filter.maxBitrateBps;
  return (file) =>
    (kinds.size === 0 || kinds.has(file.kind)) &&
    (profiles.size === 0 || profiles.has(file.profile)) &&
    (languages.size === 0 || languages.has(file.language.toLowerCase())) &&
    file.bitrateBps >= filter.minBitrateBps &&
    file.bitrateBps <= most;
}
