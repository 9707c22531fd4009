/** What the ranker knows of a title. */
export interface Title {
  readonly id: string;
  /** For display. */
  readonly name: string;
  /** In the order of the catalogue. */
  readonly genres: readonly string[];
}

/** What is wrong with a title, or undefined. */
export function titleFault(title: Title): string | undefined {
  if (title.id === '' || title.id.length > 128) return 'expected a title id of 1 to 128 characters';
  if (title.name.length > 512) return 'expected a name of at most 512 characters';
  if (title.genres.length > 32) return `expected at most 32 genres, got ${title.genres.length}`;
  if (title.genres.some((genre) => genre === '' || genre.length > 64)) {
    return 'expected genres of 1 to 64 characters';
  }
  return undefined;
}
