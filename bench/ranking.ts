import { systemClock } from '../server/core/clock.ts';
import { createSeededRandom } from '../server/core/random.ts';
import { profilesByTitle, type SparseRows, titlesByProfile } from '../server/ranking/data/sparse-rows.ts';
import { createKernels } from '../server/ranking/kernels/load-kernels.ts';
import { createFolder } from '../server/ranking/maths/folder.ts';
import { fillGaussian } from '../server/ranking/maths/gaussian.ts';
import { trainIals } from '../server/ranking/maths/ials.ts';
import { createPacer } from '../server/ranking/maths/pacer.ts';
import { readMovielens } from './ranking/movielens.ts';
import { plainDotScan, plainHalfStep, plainSolveRow } from './ranking/plain-kernels.ts';
import { servingRows } from './ranking/serving-rows.ts';
import type { BenchReport, BenchRow } from './report.ts';
import { median } from './statistics.ts';

const d = 64;
const rounds = 7;
const settings = { factors: d, regularization: 0.01, unobservedWeight: 0.1, seed: 1 };

/** Kernels against plain JavaScript in interleaved rounds of one run, then serving over embedded stores. */
export async function runRankingBench(): Promise<BenchReport> {
  const table = readMovielens();
  const byProfile = titlesByProfile(table, 4);
  const byTitle = profilesByTitle(table, 4);
  return {
    name: 'ranking',
    rows: [
      dotScanRow(10_000),
      dotScanRow(100_000),
      foldRow(76),
      await sweepRow(byProfile, byTitle),
      ...(await servingRows()),
    ],
  };
}

/** Rounds of `times` runs each, ours and the peer's in turns. */
function compare(measure: string, unit: string, times: number, ours: () => void, peer: () => void): BenchRow {
  const timed = (work: () => void) => {
    const started = performance.now();
    for (let run = 0; run < times; run++) work();
    return (performance.now() - started) / times;
  };
  timed(ours);
  timed(peer);
  const pairs = Array.from({ length: rounds }, () => [timed(ours), timed(peer)] as const);
  return rowOf(measure, unit, pairs);
}

/** `pairs` are milliseconds, ours and the peer's; shown per second, so that more is better. */
function rowOf(measure: string, unit: string, pairs: readonly (readonly [number, number])[]): BenchRow {
  const ratio = median(pairs.map(([ours, peer]) => peer / ours));
  return {
    measure,
    ours: 1_000 / median(pairs.map(([ours]) => ours)),
    unit,
    peer: { name: 'plain JavaScript', value: 1_000 / median(pairs.map(([, peer]) => peer)) },
    ratio,
    goal: '>= 3x',
    reached: ratio >= 3,
  };
}

function dotScanRow(rows: number): BenchRow {
  const kernels = createKernels(4 * (rows * d + d + rows + 64));
  const matrix = kernels.f32(rows * d);
  fillGaussian(matrix, 1, createSeededRandom(1));
  const vector = kernels.f32(d);
  fillGaussian(vector, 1, createSeededRandom(2));
  const out = kernels.f32(rows);
  const [plainVector, plainMatrix, plainOut] = [Float32Array.from(vector), Float32Array.from(matrix), out.slice()];
  return compare(
    `dot products of ${rows} x ${d}`,
    'scans/s',
    Math.ceil(500_000 / rows),
    () => kernels.dotScan(vector, matrix, out),
    () => plainDotScan(plainVector, plainMatrix, plainOut),
  );
}

function foldRow(positives: number): BenchRow {
  const titles = 9_724;
  const matrix = new Float32Array(titles * d);
  fillGaussian(matrix, 0.1, createSeededRandom(1));
  const plainMatrix = Float64Array.from(matrix);
  const folder = createFolder(matrix, settings);
  const base = new Float64Array(d * d);
  for (let k = 0; k < d; k++) base[k * d + k] = 10;
  const liked = Uint32Array.from({ length: positives }, (_, at) => at * 101);
  return compare(
    `fold-in of a profile with ${positives} positives`,
    'fold-ins/s',
    200,
    () => folder.fold(liked),
    () => plainSolveRow(base, plainMatrix, liked, d, titles),
  );
}

async function sweepRow(byProfile: SparseRows, byTitle: SparseRows): Promise<BenchRow> {
  const pacer = createPacer(systemClock, new AbortController().signal);
  const sweeps = 4;
  const profiles = new Float64Array((byProfile.offsets.length - 1) * d);
  const titles = new Float64Array((byTitle.offsets.length - 1) * d);
  const start = new Float32Array(titles.length);
  fillGaussian(start, 0.1 / Math.sqrt(d), createSeededRandom(settings.seed));
  titles.set(start);
  const pairs: [number, number][] = [];
  for (let round = 0; round < 4; round++) {
    const started = performance.now();
    await trainIals(byProfile, byTitle, { ...settings, sweeps }, pacer);
    // One more half step over the profiles follows the sweeps; the peer is not charged for it.
    const ours = (performance.now() - started) / sweeps;
    const peerStarted = performance.now();
    plainHalfStep(profiles, titles, byProfile, d);
    plainHalfStep(titles, profiles, byTitle, d);
    if (round > 0) pairs.push([ours, performance.now() - peerStarted]);
  }
  return rowOf(`iALS sweep, ${byProfile.columns.length} positives, ${d} factors`, 'sweeps/s', pairs);
}
