import { type FieldViolation, invalidFields } from '../../core/errors.ts';
import { isStringList } from '../data/json.ts';
import { leastPositive } from '../data/sparse-rows.ts';

/** A profile has played or rated a title. Ids are bare or resource names (`profiles/42`, `titles/318`). */
export interface PlayEvent {
  /** Unique per event: the same id is taken in once. 1 to 128 characters. */
  readonly id: string;
  readonly profile: string;
  readonly title: string;
  /** Unix ms. */
  readonly timeMs: number;
  /** 0.5 to 5; 4 and more is a positive sign, less a negative one. */
  readonly rating?: number;
  /** Part of the title that was watched, 0 to 1: half or more is a positive sign. Absent (and unrated) = positive. */
  readonly watchedFraction?: number;
  /**
   * Genres of the title, at most 16 of 1 to 64 characters: what a title counts by that the model does not know.
   * Names that the model does not know either are ignored.
   */
  readonly genres?: readonly string[];
}

/** One event as a profile keeps it. */
export interface ProfileEvent {
  readonly id: string;
  readonly title: string;
  readonly timeMs: number;
  readonly positive: boolean;
  /** Absent when the event named none, and in events from before genres were kept. */
  readonly genres?: readonly string[];
}

const mostGenres = 16;
const mostGenreLength = 64;
const genresFault = {
  field: 'data.genres',
  description: `expected a list of at most ${mostGenres} names of 1 to ${mostGenreLength} characters`,
};

/** Checks the event; INVALID_FIELDS names every faulty field. */
export function checkPlayEvent(event: PlayEvent): void {
  const faults: FieldViolation[] = [];
  const ids = { id: event.id, profile: bareId('profiles', event.profile), title: bareId('titles', event.title) };
  for (const [field, id] of Object.entries(ids)) {
    if (id === '' || id.length > 128) faults.push({ field, description: 'expected an id of 1 to 128 characters' });
  }
  if (!(event.timeMs >= 0 && event.timeMs <= 8.64e15)) {
    faults.push({ field: 'time', description: 'expected a time from 1970 on' });
  }
  const { rating, watchedFraction } = event;
  if (rating !== undefined && !(rating >= 0.5 && rating <= 5)) {
    faults.push({ field: 'rating', description: `expected 0.5 to 5, got ${rating}` });
  }
  if (watchedFraction !== undefined && !(watchedFraction >= 0 && watchedFraction <= 1)) {
    faults.push({ field: 'watched_fraction', description: `expected 0 to 1, got ${watchedFraction}` });
  }
  if (event.genres !== undefined && !areGenres(event.genres)) faults.push(genresFault);
  if (faults.length > 0) throw invalidFields(faults);
}

/** The genres in an event's data; INVALID_FIELDS names `data.genres`. */
export function readGenres(value: unknown): readonly string[] {
  if (!areGenres(value)) throw invalidFields([genresFault]);
  return value;
}

function areGenres(value: unknown): value is readonly string[] {
  if (!isStringList(value) || value.length > mostGenres) return false;
  return value.every((name) => name !== '' && name.length <= mostGenreLength);
}

/** True when the event says that the profile liked the title. */
export function isPositive({ rating, watchedFraction }: PlayEvent): boolean {
  return rating === undefined ? (watchedFraction ?? 1) >= 0.5 : rating >= leastPositive;
}

/** The bare id of a resource name: `titles/318` gives `318`; a bare id stays. */
export function bareId(collection: 'profiles' | 'titles', name: string): string {
  return name.startsWith(`${collection}/`) ? name.slice(collection.length + 1) : name;
}
