import { type FieldViolation, invalidFields } from '../core/errors.ts';

/** What a caller may set of a title. */
export interface TitleFields {
  readonly displayName: string;
  readonly genres: readonly string[];
  /** ISO 3166 alpha-2, upper case; empty = everywhere. */
  readonly regions: readonly string[];
  /** Unix ms; absent = playable at once. */
  readonly launchMs?: number | undefined;
}

/** A title as it is stored. */
export interface Title extends TitleFields {
  /** Bare id. */
  readonly id: string;
  /** Version that plays now; empty when none. */
  readonly currentVersion: string;
  readonly durationMs?: number;
  /** Unix ms. */
  readonly createMs: number;
  /** Unix ms. */
  readonly updateMs: number;
  /** Changes with every write. */
  readonly etag: string;
}

/** Names of fields in update masks. */
export const titleMaskPaths = {
  display_name: 'displayName',
  genres: 'genres',
  regions: 'regions',
  launch_time: 'launchMs',
} as const satisfies Record<string, keyof TitleFields>;

/** Upper-cases regions and sorts out faults: throws INVALID_FIELDS with all of them. */
export function checkTitle(fields: TitleFields): TitleFields {
  const regions = fields.regions.map((region) => region.toUpperCase());
  const faults: FieldViolation[] = [];
  const fault = (field: string, description: string) => faults.push({ field: `title.${field}`, description });
  if (fields.displayName.length > 256) fault('display_name', 'must have at most 256 characters');
  if (fields.genres.length > 32) fault('genres', 'must have at most 32 entries');
  if (fields.genres.some((genre) => genre === '' || genre.length > 64))
    fault('genres', 'must have 1-64 characters each');
  const bad = regions.find((region) => !/^[A-Z]{2}$/.test(region));
  if (bad !== undefined) fault('regions', `must be ISO 3166 alpha-2 codes, got "${bad.slice(0, 16)}"`);
  if (regions.length > 300) fault('regions', 'must have at most 300 entries');
  if (faults.length > 0) throw invalidFields(faults);
  return { ...fields, regions: [...new Set(regions)].sort() };
}
