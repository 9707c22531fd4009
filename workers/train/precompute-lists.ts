import { leastPositive, rowOf, type SparseRows } from '../../server/ranking/data/sparse-rows.ts';
import { addPrior, priorOf, priorWeight } from '../../server/ranking/maths/cold-prior.ts';
import type { Folder } from '../../server/ranking/maths/folder.ts';
import type { Pacer } from '../../server/ranking/maths/pacer.ts';
import { topK } from '../../server/ranking/maths/top-k.ts';

/** Titles kept for each profile: more than any page shows. */
const listLength = 100;

/**
 * The offline tier: each profile's best unseen titles as the online tier would rank them now.
 * A profile without positives has an empty list.
 */
export async function precomputeLists(
  folder: Folder,
  history: SparseRows,
  historyValues: Float32Array,
  popularity: Float64Array,
  pacer: Pacer,
): Promise<{ lists: SparseRows; listScores: Float32Array }> {
  const prior = priorOf(popularity);
  const profiles = history.offsets.length - 1;
  const offsets = new Uint32Array(profiles + 1);
  const columns = new Uint32Array(profiles * listLength);
  const kept = new Float32Array(profiles * listLength);
  let end = 0;
  for (let profile = 0; profile < profiles; profile++) {
    const rated = rowOf(history, profile);
    const start = history.offsets[profile] ?? 0;
    const positives = rated.filter((_, at) => (historyValues[start + at] ?? 0) >= leastPositive);
    const vector = folder.fold(positives);
    if (vector !== undefined) {
      const scores = folder.scores(vector);
      addPrior(scores, prior, priorWeight(positives.length));
      const seen = new Set(rated);
      for (const title of topK(scores, listLength, (candidate) => !seen.has(candidate))) {
        columns[end] = title;
        kept[end] = scores[title] ?? 0;
        end += 1;
      }
    }
    offsets[profile + 1] = end;
    if (pacer.isDue()) await pacer.rest();
  }
  return { lists: { offsets, columns: columns.slice(0, end) }, listScores: kept.slice(0, end) };
}
