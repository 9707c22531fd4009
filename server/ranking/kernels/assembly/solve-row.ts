import { choleskyFactor, choleskySolve } from './cholesky';
import { gatherRankUpdate } from './rank-update';

/**
 * One half step of iALS for one row, whole: (base + ridge I + sum q q') x = sum q over q = matrix[indexes[k]].
 * `a` (d x d) is left holding the factor U; `scratch` holds 64 rows; x is written to `out`.
 * Gives 0, or 1 + the index of a pivot that is not positive (x is then undefined).
 */
export function solveRow(
  base: usize,
  ridge: f32,
  matrix: usize,
  indexes: usize,
  count: u32,
  d: u32,
  a: usize,
  scratch: usize,
  out: usize,
): u32 {
  const stride: usize = <usize>d << 2;
  memory.copy(a, base, <usize>d * stride);
  for (let i: u32 = 0; i < d; i++) {
    const at = a + <usize>i * stride + (<usize>i << 2);
    store<f32>(at, load<f32>(at) + ridge);
  }
  memory.fill(out, 0, stride);
  gatherRankUpdate(a, out, matrix, indexes, count, d, scratch);
  const fault = choleskyFactor(a, d);
  if (fault == 0) choleskySolve(a, d, out);
  return fault;
}
