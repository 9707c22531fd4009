import { leastPositive, rowOf } from '../data/sparse-rows.ts';
import { priorOf } from '../maths/cold-prior.ts';
import { createFolder, type Folder } from '../maths/folder.ts';
import { topK } from '../maths/top-k.ts';
import { type ContentFactors, createContentFactors } from './content-factors.ts';
import type { RankerModel } from './model-file.ts';

/** A model ready to rank with: factors in a shared kernel memory, orders computed once. Never changed. */
export interface ServingModel {
  /** Bare id. */
  readonly id: string;
  /** Version of the publication that made it serve. */
  readonly publishVersion: number;
  /** When it was trained, Unix ms. */
  readonly createdMs: number;
  readonly ranker: RankerModel;
  readonly folder: Folder;
  readonly contentFactors: ContentFactors;
  /** Popularity prior by title, 0 to 1. */
  readonly prior: Float32Array;
  /** All titles, most popular first. */
  readonly popular: Uint32Array;
  /** Genres with at least one title, the most popular first. */
  readonly genres: readonly string[];
  hasGenre(title: number, genre: string): boolean;
  /** What the profile had rated when the model was trained, oldest first. */
  history(profile: string): readonly { readonly title: number; readonly positive: boolean }[];
  /** The precomputed list, best first; empty for a profile without one. */
  list(profile: string): readonly { readonly title: number; readonly score: number }[];
}

/** Prepares a decoded model for serving. `onContentEvicted` hears of content vectors that are not kept any longer. */
export function createServingModel(
  id: string,
  ranker: RankerModel,
  { publishVersion, createdMs }: { publishVersion: number; createdMs: number },
  onContentEvicted: () => void,
): ServingModel {
  const genreSets = ranker.catalogue.map(({ genres }) => new Set(genres));
  const weights = new Map<string, number>();
  for (const [title, genres] of genreSets.entries()) {
    for (const genre of genres) weights.set(genre, (weights.get(genre) ?? 0) + (ranker.popularity[title] ?? 0));
  }
  return {
    id,
    publishVersion,
    createdMs,
    ranker,
    folder: createFolder(ranker.titleFactors, ranker.settings),
    contentFactors: createContentFactors(ranker, onContentEvicted),
    prior: priorOf(ranker.popularity),
    popular: topK(ranker.popularity, ranker.popularity.length),
    genres: [...weights].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).map(([genre]) => genre),
    hasGenre: (title, genre) => genreSets[title]?.has(genre) ?? false,
    history: (profile) => {
      const at = ranker.profiles.indexOf(profile);
      if (at === undefined) return [];
      const start = ranker.history.offsets[at] ?? 0;
      return Array.from(rowOf(ranker.history, at), (title, place) => ({
        title,
        positive: (ranker.historyValues[start + place] ?? 0) >= leastPositive,
      }));
    },
    list: (profile) => {
      const at = ranker.profiles.indexOf(profile);
      if (at === undefined) return [];
      const start = ranker.lists.offsets[at] ?? 0;
      return Array.from(rowOf(ranker.lists, at), (title, place) => ({
        title,
        score: ranker.listScores[start + place] ?? 0,
      }));
    },
  };
}
