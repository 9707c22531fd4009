import { notPositiveDefinite } from '../errors.ts';
import { alignedBytes, createKernels, type F32 } from '../kernels/load-kernels.ts';
import { fillBase, type IalsOptions, ridgeOf } from './ials.ts';

/**
 * Scores titles for profiles from what they liked, against fixed title factors. Synchronous throughout.
 *
 * `content` holds the factors of liked titles that are not among the trained ones, at most `mostContent`: the index
 * titleCount + i stands for content[i] among the positives. Such a title counts as a positive and is never scored.
 */
export interface Folder {
  /**
   * The profile's factors from its positives, by the half step of training; of more than 4,096 the last are used.
   * Undefined without any.
   */
  fold(positives: readonly number[] | Uint32Array, content?: readonly Float32Array[]): Float32Array | undefined;
  /** Dot products of the vector with every title, in a fresh array. */
  scores(vector: Float32Array): Float32Array;
  /** Cosine similarity of every title with this title or vector; 0 where a title has no factors. */
  similarities(title: number | Float32Array): Float32Array;
  /**
   * For each title the part of its score that each positive contributes, in their order: exact, the parts sum to
   * the score. score = q' W sum(q_j) with W the inverse of the half-step matrix, so part j is q' W q_j.
   */
  contributions(
    positives: readonly number[] | Uint32Array,
    titles: readonly number[],
    content?: readonly Float32Array[],
  ): Float32Array[];
}

/** The settings that the title factors were trained with. */
export type FolderOptions = Pick<IalsOptions, 'factors' | 'regularization' | 'unobservedWeight'>;

/** Liked titles without trained factors that one fold-in takes. */
export const mostContent = 256;

const mostPositives = 4096;
/** Rows scored per kernel call: the result of a call stays in the first-level cache. */
const scanRows = mostPositives;

/** Copies the title factors into a kernel memory of its own and caches a0 Q'Q. */
export function createFolder(titleFactors: Float32Array, options: FolderOptions): Folder {
  const d = options.factors;
  const titleCount = titleFactors.length / d;
  const kernels = createKernels(
    alignedBytes(titleFactors.length + mostContent * d) +
      2 * alignedBytes(d * d) +
      2 * alignedBytes(d) +
      alignedBytes(mostPositives) +
      alignedBytes(mostPositives * d) +
      alignedBytes(scanRows),
  );
  // Behind the titles there is room for content, so that the kernels find both by index.
  const matrix = kernels.f32(titleFactors.length + mostContent * d);
  matrix.set(titleFactors);
  const base = kernels.f32(d * d);
  fillBase(kernels, base, matrix.subarray(0, titleFactors.length), d, options.unobservedWeight);
  const work = kernels.f32(d * d);
  const vector = kernels.f32(d);
  const solution = kernels.f32(d);
  const indexes = kernels.u32(mostPositives);
  const chunk = kernels.f32(scanRows);
  // Touched by explanations only, for as many rows as they need.
  const liked = kernels.f32(mostPositives * d);

  const solve = (positives: readonly number[] | Uint32Array, content: readonly Float32Array[]): F32 => {
    for (const [at, factors] of content.entries()) matrix.set(factors, titleFactors.length + at * d);
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
  const norms = Float32Array.from({ length: titleCount }, (_, title) => normOf(factorsOf(title)));

  return {
    fold: (positives, content = []) =>
      positives.length === 0 ? undefined : Float32Array.from(solve(positives, content)),
    scores: scan,
    similarities: (title) => {
      const factors = typeof title === 'number' ? factorsOf(title) : title;
      const cosines = scan(factors);
      const own = normOf(factors);
      for (let other = 0; other < titleCount; other++) {
        const product = own * (norms[other] ?? 0);
        cosines[other] = product > 0 ? (cosines[other] ?? 0) / product : 0;
      }
      return cosines;
    },
    contributions: (positives, titles, content = []) => {
      if (positives.length === 0) return titles.map(() => new Float32Array(0));
      // Leaves the factor of the half-step matrix in `work`; one more triangular solve per title gives W q.
      solve(positives, content);
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

function normOf(factors: Float32Array): number {
  let squares = 0;
  for (const factor of factors) squares += factor * factor;
  return Math.sqrt(squares);
}
