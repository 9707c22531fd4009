import { rowOf, type SparseRows } from '../../server/ranking/data/sparse-rows.ts';

/** The kernels' work in plain JavaScript over typed arrays: what the WebAssembly ones are measured against. */

/** out[i] = vector . matrix[i]. */
export function plainDotScan(vector: Float32Array, matrix: Float32Array, out: Float32Array): void {
  const d = vector.length;
  for (let row = 0; row < out.length; row++) {
    let sum = 0;
    for (let k = 0, at = row * d; k < d; k++, at++) sum += (vector[k] as number) * (matrix[at] as number);
    out[row] = sum;
  }
}

/** One iALS half step in f64: every row of `rows` solved against `matrix`, as a careful first version would do it. */
export function plainHalfStep(target: Float64Array, matrix: Float64Array, rows: SparseRows, d: number): void {
  const base = new Float64Array(d * d);
  const others = matrix.length / d;
  for (let row = 0; row < others; row++) addOuter(base, matrix, row * d, d);
  for (let at = 0; at < base.length; at++) base[at] = (base[at] as number) * 0.1;
  for (let row = 0; row < rows.offsets.length - 1; row++) {
    const x = plainSolveRow(base, matrix, rowOf(rows, row), d, others);
    target.set(x, row * d);
  }
}

/** (base + ridge I + sum q q') x = sum q. */
export function plainSolveRow(
  base: Float64Array,
  matrix: Float64Array,
  positives: Uint32Array,
  d: number,
  others: number,
): Float64Array {
  const x = new Float64Array(d);
  if (positives.length === 0) return x;
  const a = base.slice();
  const ridge = 0.01 * (positives.length + 0.1 * others);
  for (let k = 0; k < d; k++) a[k * d + k] = (a[k * d + k] as number) + ridge;
  for (const title of positives) {
    addOuter(a, matrix, title * d, d);
    for (let k = 0; k < d; k++) x[k] = (x[k] as number) + (matrix[title * d + k] as number);
  }
  choleskySolve(a, x, d);
  return x;
}

function addOuter(a: Float64Array, matrix: Float64Array, at: number, d: number): void {
  for (let i = 0; i < d; i++) {
    const factor = matrix[at + i] as number;
    for (let j = 0; j <= i; j++) a[i * d + j] = (a[i * d + j] as number) + factor * (matrix[at + j] as number);
  }
}

function choleskySolve(a: Float64Array, x: Float64Array, d: number): void {
  for (let i = 0; i < d; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * d + j] as number;
      for (let k = 0; k < j; k++) sum -= (a[i * d + k] as number) * (a[j * d + k] as number);
      a[i * d + j] = i === j ? Math.sqrt(sum) : sum / (a[j * d + j] as number);
    }
  }
  for (let i = 0; i < d; i++) {
    let sum = x[i] as number;
    for (let k = 0; k < i; k++) sum -= (a[i * d + k] as number) * (x[k] as number);
    x[i] = sum / (a[i * d + i] as number);
  }
  for (let i = d - 1; i >= 0; i--) {
    let sum = x[i] as number;
    for (let k = i + 1; k < d; k++) sum -= (a[k * d + i] as number) * (x[k] as number);
    x[i] = sum / (a[i * d + i] as number);
  }
}
