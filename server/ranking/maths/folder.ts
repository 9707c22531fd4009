import { notPositiveDefinite } from '../errors.ts';
import { alignedBytes, createKernels, type F32 } from '../kernels/load-kernels.ts';
import { fillBase, type IalsOptions, ridgeOf } from './ials.ts';

/** Scores titles for profiles from what they liked, against fixed title factors. Synchronous throughout. */
export interface Folder {
  /**
   * The profile's factors from its positives, by the half step of training; of more than 4,096 the last are used.
   * Undefined without any.
   */
  fold(positives: readonly number[] | Uint32Array): Float32Array | undefined;
  /** Dot products of the vector with every title, in a fresh array. */
  scores(vector: Float32Array): Float32Array;
  /** Cosine similarity of every title with this one; 0 where a title has no factors. */
  similarities(title: number): Float32Array;
  /**
   * For each title the part of its score that each positive contributes, in their order: exact, the parts sum to
   * the score. score = q' W sum(q_j) with W the inverse of the half-step matrix, so part j is q' W q_j.
   */
  contributions(positives: readonly number[] | Uint32Array, titles: readonly number[]): Float32Array[];
}

/** The settings that the title factors were trained with. */
export type FolderOptions = Pick<IalsOptions, 'factors' | 'regularization' | 'unobservedWeight'>;

const mostPositives = 4096;
/** Rows scored per kernel call: the result of a call stays in the first-level cache. */
const scanRows = mostPositives;

/** Copies the title factors into a kernel memory of its own and caches a0 Q'Q. */
export function createFolder(titleFactors: Float32Array, options: FolderOptions): Folder {
  const d = options.factors;
  const titleCount = titleFactors.length / d;
  const kernels = createKernels(
    alignedBytes(titleFactors.length) +
      2 * alignedBytes(d * d) +
      2 * alignedBytes(d) +
      alignedBytes(mostPositives) +
      alignedBytes(mostPositives * d) +
      alignedBytes(scanRows),
  );
  const matrix = kernels.f32(titleFactors.length);
  matrix.set(titleFactors);
  const base = kernels.f32(d * d);
  fillBase(kernels, base, matrix, d, options.unobservedWeight);
  const work = kernels.f32(d * d);
  const vector = kernels.f32(d);
  const solution = kernels.f32(d);
  const indexes = kernels.u32(mostPositives);
  const chunk = kernels.f32(scanRows);
  // Touched by explanations only, for as many rows as they need.
  const liked = kernels.f32(mostPositives * d);

  const solve = (positives: readonly number[] | Uint32Array): F32 => {
    const used = positives.slice(-mostPositives);
    const rows = indexes.subarray(0, used.length);
    rows.set(used);
    const fault = kernels.solveRow(base, ridgeOf(options, used.length, titleCount), matrix, rows, work, solution);
    if (fault > 0) throw notPositiveDefinite(fault - 1);
    return solution;
  };
  const scan = (source: ArrayLike<number>): Float32Array => {
    const scores = new Float32Array(titleCount);
    vector.set(source);
    for (let from = 0; from < titleCount; from += scanRows) {
      const part = chunk.subarray(0, Math.min(scanRows, titleCount - from));
      kernels.dotScan(vector, matrix, part, from);
      scores.set(part, from);
    }
    return scores;
  };
  const factorsOf = (title: number) => matrix.subarray(title * d, (title + 1) * d);
  const norms = Float32Array.from({ length: titleCount }, (_, title) => {
    let squares = 0;
    for (const factor of factorsOf(title)) squares += factor * factor;
    return Math.sqrt(squares);
  });

  return {
    fold: (positives) => (positives.length === 0 ? undefined : Float32Array.from(solve(positives))),
    scores: scan,
    similarities: (title) => {
      const cosines = scan(factorsOf(title));
      const own = norms[title] ?? 0;
      for (let other = 0; other < titleCount; other++) {
        const product = own * (norms[other] ?? 0);
        cosines[other] = product > 0 ? (cosines[other] ?? 0) / product : 0;
      }
      return cosines;
    },
    contributions: (positives, titles) => {
      if (positives.length === 0) return titles.map(() => new Float32Array(0));
      // Leaves the factor of the half-step matrix in `work`; one more triangular solve per title gives W q.
      solve(positives);
      const used = positives.slice(-mostPositives);
      for (const [at, positive] of used.entries()) liked.set(factorsOf(positive), at * d);
      return titles.map((title) => {
        vector.set(factorsOf(title));
        kernels.choleskySolve(work, vector);
        const amounts = chunk.subarray(0, used.length);
        kernels.dotScan(vector, liked, amounts);
        const parts = new Float32Array(positives.length);
        parts.set(amounts, positives.length - used.length);
        return parts;
      });
    },
  };
}
