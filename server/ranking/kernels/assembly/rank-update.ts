/** Rows gathered at a time: 64 rows of 64 factors are 16 KiB and stay in the first-level cache. */
const CHUNK: u32 = 64;

/** Upper triangle of A += sum of q q' over `count` rows of `rows`. */
export function rankUpdate(a: usize, rows: usize, count: u32, d: u32): void {
  updateUpper(a, rows, count, d, 0, 1);
}

/**
 * As rankUpdate over matrix[indexes[k]], and b += the sum of those rows.
 * `scratch` holds 64 rows of d.
 */
export function gatherRankUpdate(
  a: usize,
  b: usize,
  matrix: usize,
  indexes: usize,
  count: u32,
  d: u32,
  scratch: usize,
): void {
  const stride: usize = <usize>d << 2;
  for (let start: u32 = 0; start < count; start += CHUNK) {
    const size = min(CHUNK, count - start);
    let target = scratch;
    for (let k: u32 = 0; k < size; k++) {
      const source = matrix + <usize>load<u32>(indexes + (<usize>(start + k) << 2)) * stride;
      for (let at: usize = 0; at < stride; at += 16) {
        const q = v128.load(source + at);
        v128.store(target + at, q);
        v128.store(b + at, f32x4.add(v128.load(b + at), q));
      }
      target += stride;
    }
    updateUpper(a, scratch, size, d, 0, 1);
  }
}

/**
 * A[i][j] += sign * sum over k of rows[k][i] rows[k][j], for j >= i >= from (from a multiple of 4).
 * Blocks of 4 x 8 in eight registers: per row of the sum six loads serve eight multiply-adds.
 */
export function updateUpper(a: usize, rows: usize, count: u32, d: u32, from: u32, sign: f32): void {
  const stride: usize = <usize>d << 2;
  const factor = f32x4.splat(sign);
  for (let i: u32 = from; i < d; i += 4) {
    const rowOfA = a + <usize>i * stride;
    let j: u32 = i;
    for (; j + 8 <= d; j += 8) updateWide(rowOfA + (<usize>j << 2), rows, count, stride, i, j, factor);
    if (j < d) updateNarrow(rowOfA + (<usize>j << 2), rows, count, stride, i, j, factor);
  }
}

// @ts-ignore: decorator
@inline
function updateWide(target: usize, rows: usize, count: u32, stride: usize, i: u32, j: u32, factor: v128): void {
  let a0 = f32x4.splat(0), a1 = f32x4.splat(0);
  let b0 = f32x4.splat(0), b1 = f32x4.splat(0);
  let c0 = f32x4.splat(0), c1 = f32x4.splat(0);
  let d0 = f32x4.splat(0), d1 = f32x4.splat(0);
  let left = rows + (<usize>i << 2);
  let right = rows + (<usize>j << 2);
  for (let k: u32 = 0; k < count; k++) {
    const q0 = v128.load(right);
    const q1 = v128.load(right, 16);
    let scalar = v128.load32_splat(left);
    a0 = f32x4.add(a0, f32x4.mul(scalar, q0));
    a1 = f32x4.add(a1, f32x4.mul(scalar, q1));
    scalar = v128.load32_splat(left, 4);
    b0 = f32x4.add(b0, f32x4.mul(scalar, q0));
    b1 = f32x4.add(b1, f32x4.mul(scalar, q1));
    scalar = v128.load32_splat(left, 8);
    c0 = f32x4.add(c0, f32x4.mul(scalar, q0));
    c1 = f32x4.add(c1, f32x4.mul(scalar, q1));
    scalar = v128.load32_splat(left, 12);
    d0 = f32x4.add(d0, f32x4.mul(scalar, q0));
    d1 = f32x4.add(d1, f32x4.mul(scalar, q1));
    left += stride;
    right += stride;
  }
  addTo(target, a0, factor);
  addTo(target + 16, a1, factor);
  addTo(target + stride, b0, factor);
  addTo(target + stride + 16, b1, factor);
  addTo(target + 2 * stride, c0, factor);
  addTo(target + 2 * stride + 16, c1, factor);
  addTo(target + 3 * stride, d0, factor);
  addTo(target + 3 * stride + 16, d1, factor);
}

// @ts-ignore: decorator
@inline
function updateNarrow(target: usize, rows: usize, count: u32, stride: usize, i: u32, j: u32, factor: v128): void {
  let a0 = f32x4.splat(0);
  let b0 = f32x4.splat(0);
  let c0 = f32x4.splat(0);
  let d0 = f32x4.splat(0);
  let left = rows + (<usize>i << 2);
  let right = rows + (<usize>j << 2);
  for (let k: u32 = 0; k < count; k++) {
    const q0 = v128.load(right);
    a0 = f32x4.add(a0, f32x4.mul(v128.load32_splat(left), q0));
    b0 = f32x4.add(b0, f32x4.mul(v128.load32_splat(left, 4), q0));
    c0 = f32x4.add(c0, f32x4.mul(v128.load32_splat(left, 8), q0));
    d0 = f32x4.add(d0, f32x4.mul(v128.load32_splat(left, 12), q0));
    left += stride;
    right += stride;
  }
  addTo(target, a0, factor);
  addTo(target + stride, b0, factor);
  addTo(target + 2 * stride, c0, factor);
  addTo(target + 3 * stride, d0, factor);
}

// @ts-ignore: decorator
@inline
function addTo(target: usize, sum: v128, factor: v128): void {
  v128.store(target, f32x4.add(v128.load(target), f32x4.mul(factor, sum)));
}
