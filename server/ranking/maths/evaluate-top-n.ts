import { rowOf, type SparseRows } from '../data/sparse-rows.ts';
import { ndcgAt, recallAt } from './metrics.ts';
import type { Pacer } from './pacer.ts';
import { topK } from './top-k.ts';

/** Means over the profiles that have a held-out positive. */
export interface TopNQuality {
  readonly ndcgAt10: number;
  readonly ndcgAt100: number;
  readonly recallAt20: number;
  readonly profiles: number;
}

/**
 * Full-catalogue evaluation: every title is ranked for every profile, less those it rated in training.
 * `scoresOf` may give the same array again, it is read before the next call; ties go to the lower index.
 */
export async function evaluateTopN(
  scoresOf: (profile: number) => Float32Array | Float64Array,
  ratedInTraining: SparseRows,
  relevant: SparseRows,
  pacer: Pacer,
): Promise<TopNQuality> {
  const sums = { ndcgAt10: 0, ndcgAt100: 0, recallAt20: 0 };
  let profiles = 0;
  for (let profile = 0; profile < relevant.offsets.length - 1; profile++) {
    const wanted = new Set(rowOf(relevant, profile));
    if (wanted.size === 0) continue;
    const rated = new Set(rowOf(ratedInTraining, profile));
    const ranked = topK(scoresOf(profile), 100, (title) => !rated.has(title));
    sums.ndcgAt10 += ndcgAt(10, ranked, wanted);
    sums.ndcgAt100 += ndcgAt(100, ranked, wanted);
    sums.recallAt20 += recallAt(20, ranked, wanted);
    profiles += 1;
    if (pacer.isDue()) await pacer.rest();
  }
  return {
    ndcgAt10: sums.ndcgAt10 / profiles,
    ndcgAt100: sums.ndcgAt100 / profiles,
    recallAt20: sums.recallAt20 / profiles,
    profiles,
  };
}
