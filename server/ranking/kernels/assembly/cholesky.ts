import { updateUpper } from './rank-update';

/** Pivot rows per panel; the rest of the matrix is updated once a panel. A multiple of 4. */
const PANEL: u32 = 8;

/**
 * Factors the symmetric A (upper triangle given) in place: A = U'U, U in the upper triangle.
 * Gives 0, or 1 + the index of a pivot that is not positive.
 */
export function choleskyFactor(a: usize, d: u32): u32 {
  const stride: usize = <usize>d << 2;
  for (let start: u32 = 0; start < d; start += PANEL) {
    const end = min(start + PANEL, d);
    for (let p: u32 = start; p < end; p++) {
      const row = a + <usize>p * stride;
      const pivot = load<f32>(row + (<usize>p << 2));
      if (!(pivot > 0)) return p + 1;
      scaleFrom(row, p, d, 1 / sqrt<f32>(pivot));
      for (let i: u32 = p + 1; i < end; i++) {
        subtractScaled(a + <usize>i * stride, row, i, d, load<f32>(row + (<usize>i << 2)));
      }
    }
    if (end < d) updateUpper(a, a + <usize>start * stride, end - start, d, end, -1);
  }
  return 0;
}

/** Solves U'U x = b in place of b. */
export function choleskySolve(u: usize, d: u32, b: usize): void {
  const stride: usize = <usize>d << 2;
  for (let i: u32 = 0; i < d; i++) {
    const row = u + <usize>i * stride;
    const y = load<f32>(b + (<usize>i << 2)) / load<f32>(row + (<usize>i << 2));
    store<f32>(b + (<usize>i << 2), y);
    subtractScaled(b, row, i + 1, d, y);
  }
  for (let i: u32 = d; i-- > 0; ) {
    const row = u + <usize>i * stride;
    const rest = load<f32>(b + (<usize>i << 2)) - dotFrom(row, b, i + 1, d);
    store<f32>(b + (<usize>i << 2), rest / load<f32>(row + (<usize>i << 2)));
  }
}

// @ts-ignore: decorator
@inline
function scaleFrom(row: usize, from: u32, to: u32, factor: f32): void {
  let i = from;
  for (; i < to && i & 3; i++) store<f32>(row + (<usize>i << 2), load<f32>(row + (<usize>i << 2)) * factor);
  const factors = f32x4.splat(factor);
  for (; i < to; i += 4) {
    const at = row + (<usize>i << 2);
    v128.store(at, f32x4.mul(v128.load(at), factors));
  }
}

// @ts-ignore: decorator
@inline
function subtractScaled(target: usize, row: usize, from: u32, to: u32, factor: f32): void {
  let i = from;
  for (; i < to && i & 3; i++) {
    const at: usize = <usize>i << 2;
    store<f32>(target + at, load<f32>(target + at) - factor * load<f32>(row + at));
  }
  const factors = f32x4.splat(factor);
  for (; i < to; i += 4) {
    const at: usize = <usize>i << 2;
    v128.store(target + at, f32x4.sub(v128.load(target + at), f32x4.mul(factors, v128.load(row + at))));
  }
}

// @ts-ignore: decorator
@inline
function dotFrom(left: usize, right: usize, from: u32, to: u32): f32 {
  let sum: f32 = 0;
  let i = from;
  for (; i < to && i & 3; i++) sum += load<f32>(left + (<usize>i << 2)) * load<f32>(right + (<usize>i << 2));
  let sums = f32x4.splat(0);
  for (; i < to; i += 4) {
    const at: usize = <usize>i << 2;
    sums = f32x4.add(sums, f32x4.mul(v128.load(left + at), v128.load(right + at)));
  }
  sum += f32x4.extract_lane(sums, 0) + f32x4.extract_lane(sums, 1);
  return sum + (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3));
}
