import { createSeededRandom } from '../../core/random.ts';
import type { SparseRows } from '../data/sparse-rows.ts';
import { notPositiveDefinite } from '../errors.ts';
import { alignedBytes, createKernels, type F32, type Kernels, type U32 } from '../kernels/load-kernels.ts';
import { fillGaussian } from './gaussian.ts';
import type { Pacer } from './pacer.ts';

/** What decides the bytes of the factors, besides the data. */
export interface IalsOptions {
  /** Latent dimensions: a multiple of 4, 4 to 256. */
  readonly factors: number;
  readonly sweeps: number;
  readonly regularization: number;
  /** Weight of every pair, seen or not (alpha0). */
  readonly unobservedWeight: number;
  readonly seed: number;
}

/** Factors by row; a profile's score of a title is the dot product. Rows without positives are zero. */
export interface IalsFactors {
  readonly factors: number;
  readonly profileFactors: F32;
  readonly titleFactors: F32;
}

/**
 * Implicit ALS as revisited by Rendle et al. (2021): minimises
 * `sum_seen (p.q - 1)^2 + a0 sum_all (p.q)^2 + reg sum (n + a0 N) |factor|^2`
 * by exact half steps, profiles first. f32 kernels without fused multiply-add: the same seed gives the same bytes.
 * `onSweep` hears how many sweeps are done. Throws NOT_POSITIVE_DEFINITE when the regularisation is too small.
 */
export async function trainIals(
  byProfile: SparseRows,
  byTitle: SparseRows,
  options: IalsOptions,
  pacer: Pacer,
  onSweep: (done: number) => void = () => {},
): Promise<IalsFactors> {
  const d = options.factors;
  const profileCount = byProfile.offsets.length - 1;
  const titleCount = byTitle.offsets.length - 1;
  const kernels = createKernels(
    alignedBytes(profileCount * d) +
      alignedBytes(titleCount * d) +
      alignedBytes(byProfile.columns.length) +
      alignedBytes(byTitle.columns.length) +
      2 * alignedBytes(d * d),
  );
  const profileFactors = kernels.f32(profileCount * d);
  const titleFactors = kernels.f32(titleCount * d);
  const titlesOf = inside(kernels, byProfile);
  const profilesOf = inside(kernels, byTitle);
  const step = createHalfStep(kernels, options, pacer);
  fillGaussian(titleFactors, 0.1 / Math.sqrt(d), createSeededRandom(options.seed));
  for (let sweep = 0; sweep < options.sweeps; sweep++) {
    await step(profileFactors, titleFactors, titlesOf);
    await step(titleFactors, profileFactors, profilesOf);
    onSweep(sweep + 1);
  }
  // The served profile factors are what folding the same titles in gives, so they match the final title factors.
  await step(profileFactors, titleFactors, titlesOf);
  return { factors: d, profileFactors, titleFactors };
}

interface KernelRows {
  readonly offsets: Uint32Array;
  readonly columns: U32;
}

function inside(kernels: Kernels, rows: SparseRows): KernelRows {
  const columns = kernels.u32(rows.columns.length);
  columns.set(rows.columns);
  return { offsets: rows.offsets, columns };
}

/** The ridge of a row with `count` positives against `others` rows on the other side. */
export function ridgeOf(options: { regularization: number; unobservedWeight: number }, count: number, others: number) {
  return options.regularization * (count + options.unobservedWeight * others);
}

/** base = a0 sum q q' over all rows of the matrix: what a half step and a fold-in start from. */
export function fillBase(kernels: Kernels, base: F32, matrix: F32, d: number, unobservedWeight: number): void {
  base.fill(0);
  kernels.rankUpdate(base, matrix, d);
  for (let at = 0; at < base.length; at++) base[at] = (base[at] ?? 0) * unobservedWeight;
}

function createHalfStep(kernels: Kernels, options: IalsOptions, pacer: Pacer) {
  const d = options.factors;
  const base = kernels.f32(d * d);
  const work = kernels.f32(d * d);
  return async (target: F32, other: F32, rows: KernelRows): Promise<void> => {
    const others = other.length / d;
    fillBase(kernels, base, other, d, options.unobservedWeight);
    for (let row = 0; row < rows.offsets.length - 1; row++) {
      const columns = rows.columns.subarray(rows.offsets[row], rows.offsets[row + 1]);
      const out = target.subarray(row * d, (row + 1) * d);
      if (columns.length === 0) {
        out.fill(0);
      } else {
        const fault = kernels.solveRow(base, ridgeOf(options, columns.length, others), other, columns, work, out);
        if (fault > 0) throw notPositiveDefinite(fault - 1);
      }
      if ((row & 15) === 0 && pacer.isDue()) await pacer.rest();
    }
  };
}
