import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { createSeededRandom } from '../../server/core/random.ts';
import { createKernels, type F32, type Kernels } from '../../server/ranking/kernels/load-kernels.ts';
import { fillGaussian } from '../../server/ranking/maths/gaussian.ts';

const widths = [4, 8, 12, 20, 64, 100, 128, 256];

function randomMatrix(kernels: Kernels, length: number, seed: number): F32 {
  const matrix = kernels.f32(length);
  fillGaussian(matrix, 1, createSeededRandom(seed));
  return matrix;
}

function reference(rows: Float32Array, d: number, start: Float64Array = new Float64Array(d * d)): Float64Array {
  const a = start.slice();
  for (let k = 0; k < rows.length / d; k++) {
    for (let i = 0; i < d; i++) {
      for (let j = 0; j < d; j++) a[i * d + j] = (a[i * d + j] ?? 0) + (rows[k * d + i] ?? 0) * (rows[k * d + j] ?? 0);
    }
  }
  return a;
}

function assertUpperClose(actual: Float32Array, expected: Float64Array, d: number, tolerance: number): void {
  for (let i = 0; i < d; i++) {
    for (let j = i; j < d; j++) {
      const [got = 0, want = 0] = [actual[i * d + j], expected[i * d + j]];
      assert.ok(Math.abs(got - want) <= tolerance * (1 + Math.abs(want)), `d ${d}, [${i}][${j}]: ${got} for ${want}`);
    }
  }
}

/** a x for the symmetric a. */
function times(a: Float64Array, x: ArrayLike<number>, d: number): Float64Array {
  return Float64Array.from({ length: d }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < d; j++) sum += (a[i * d + j] ?? 0) * (x[j] ?? 0);
    return sum;
  });
}

describe('ranking kernels', () => {
  it('are built from the source that is committed', function () {
    this.timeout(60_000);
    const script = join(import.meta.dirname, '../../scripts/build-kernels.js');
    assert.match(execFileSync(process.execPath, [script, '--check'], { encoding: 'utf8' }), /unchanged/);
  });

  it('scan dot products as f64 arithmetic does, for every width and any number of rows', () => {
    for (const d of widths) {
      const kernels = createKernels(4 * (40 * d + d + 100));
      const matrix = randomMatrix(kernels, 37 * d, d);
      const vector = randomMatrix(kernels, d, d + 1);
      for (const [from, count] of [
        [0, 37],
        [3, 1],
        [5, 32],
        [36, 0],
      ] as const) {
        const out = kernels.f32(count);
        kernels.dotScan(vector, matrix, out, from);
        for (const [row, got] of out.entries()) {
          let want = 0;
          for (let k = 0; k < d; k++) want += (vector[k] ?? 0) * (matrix[(from + row) * d + k] ?? 0);
          assert.ok(Math.abs(got - want) < 1e-4, `d ${d}, row ${row}: ${got} for ${want}`);
        }
      }
    }
  });

  it('add outer products, gathered or not, over more rows than one chunk', () => {
    for (const d of widths) {
      const kernels = createKernels(4 * (150 * d + 3 * d * d + d + 300));
      const rows = randomMatrix(kernels, 131 * d, d);
      const plain = kernels.f32(d * d);
      kernels.rankUpdate(plain, rows, d);
      assertUpperClose(plain, reference(rows, d), d, 1e-4);

      const indexes = kernels.u32(130);
      indexes.set(Array.from({ length: 130 }, (_, at) => (at * 7) % 131));
      const gathered = kernels.f32(d * d);
      const sum = kernels.f32(d);
      kernels.gatherRankUpdate(gathered, sum, rows, indexes);
      const picked = Float32Array.from({ length: 130 * d }, (_, at) => {
        return rows[(indexes[Math.floor(at / d)] ?? 0) * d + (at % d)] ?? 0;
      });
      assertUpperClose(gathered, reference(picked, d), d, 1e-4);
      for (let k = 0; k < d; k++) {
        let want = 0;
        for (let row = 0; row < 130; row++) want += picked[row * d + k] ?? 0;
        assert.ok(Math.abs((sum[k] ?? 0) - want) < 1e-3);
      }
    }
  });

  it('solve the half step as f64 does', () => {
    for (const d of widths) {
      const kernels = createKernels(4 * (60 * d + 4 * d * d + 4 * d + 200));
      const rows = randomMatrix(kernels, 50 * d, d);
      const base = kernels.f32(d * d);
      kernels.rankUpdate(base, rows, d);
      const indexes = kernels.u32(20);
      indexes.set(Array.from({ length: 20 }, (_, at) => at * 2));
      const work = kernels.f32(d * d);
      const x = kernels.f32(d);
      assert.equal(kernels.solveRow(base, 5, rows, indexes, work, x), 0);

      const picked = Float32Array.from({ length: 20 * d }, (_, at) => rows[2 * Math.floor(at / d) * d + (at % d)] ?? 0);
      const a = reference(picked, d, reference(rows, d));
      for (let i = 0; i < d; i++) a[i * d + i] = (a[i * d + i] ?? 0) + 5;
      const back = times(a, x, d);
      for (let k = 0; k < d; k++) {
        let want = 0;
        for (let row = 0; row < 20; row++) want += picked[row * d + k] ?? 0;
        assert.ok(Math.abs((back[k] ?? 0) - want) < 5e-3, `d ${d}, ${k}: ${back[k]} for ${want}`);
      }
    }
  });

  it('name the pivot at which a matrix is not positive definite', () => {
    const kernels = createKernels(4_096);
    const a = kernels.f32(64);
    for (let i = 0; i < 8; i++) a[i * 8 + i] = i === 5 ? -1 : 1;
    assert.equal(kernels.choleskyFactor(a, 8), 6);
    a.fill(Number.NaN);
    assert.equal(kernels.choleskyFactor(a, 8), 1);
  });

  it('refuse arrays that do not fit instead of reading past them', () => {
    const kernels = createKernels(65_536);
    const matrix = kernels.f32(10 * 8);
    const vector = kernels.f32(8);
    const out = kernels.f32(11);
    const misuse = { reason: 'KERNEL_MISUSE' };
    assert.throws(() => kernels.dotScan(vector, matrix, out), misuse);
    assert.throws(() => kernels.dotScan(vector, matrix, out.subarray(0, 5), 6), misuse);
    assert.throws(() => kernels.dotScan(vector.subarray(0, 6), matrix, out.subarray(0, 1)), misuse);
    assert.throws(() => kernels.dotScan(createKernels(64).f32(8), matrix, out.subarray(0, 1)), misuse);
    assert.throws(() => kernels.dotScan(vector, matrix.subarray(1), out.subarray(0, 1)), misuse);
    assert.throws(() => kernels.rankUpdate(kernels.f32(63), matrix, 8), misuse);
    const indexes = kernels.u32(1);
    indexes[0] = 10;
    assert.throws(() => kernels.gatherRankUpdate(kernels.f32(64), vector, matrix, indexes), misuse);
    assert.throws(() => kernels.choleskySolve(kernels.f32(32), vector), misuse);
    assert.throws(() => kernels.f32(1e6), { reason: 'KERNEL_MEMORY_EXHAUSTED' });
    assert.throws(() => createKernels(2 ** 33), { reason: 'KERNEL_MEMORY_EXHAUSTED' });
  });
});
