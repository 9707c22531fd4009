/** out[i] = vector . matrix[i] for n rows of d columns. Four rows at a time: four independent chains. */
export function dotScan(vector: usize, matrix: usize, n: u32, d: u32, out: usize): void {
  const stride: usize = <usize>d << 2;
  const blocked: u32 = n & ~3;
  let row = matrix;
  for (let i: u32 = 0; i < blocked; i += 4) {
    let s0 = f32x4.splat(0);
    let s1 = f32x4.splat(0);
    let s2 = f32x4.splat(0);
    let s3 = f32x4.splat(0);
    for (let at: usize = 0; at < stride; at += 16) {
      const v = v128.load(vector + at);
      const p = row + at;
      s0 = f32x4.add(s0, f32x4.mul(v, v128.load(p)));
      s1 = f32x4.add(s1, f32x4.mul(v, v128.load(p + stride)));
      s2 = f32x4.add(s2, f32x4.mul(v, v128.load(p + 2 * stride)));
      s3 = f32x4.add(s3, f32x4.mul(v, v128.load(p + 3 * stride)));
    }
    v128.store(out + (<usize>i << 2), sumsOf(s0, s1, s2, s3));
    row += 4 * stride;
  }
  for (let i: u32 = blocked; i < n; i++) {
    let sum = f32x4.splat(0);
    for (let at: usize = 0; at < stride; at += 16) {
      sum = f32x4.add(sum, f32x4.mul(v128.load(vector + at), v128.load(row + at)));
    }
    store<f32>(out + (<usize>i << 2), f32x4.extract_lane(sumsOf(sum, sum, sum, sum), 0));
    row += stride;
  }
}

/** The four lane sums of four vectors, in the same order of additions for every row. */
// @ts-ignore: decorator
@inline
function sumsOf(s0: v128, s1: v128, s2: v128, s3: v128): v128 {
  const low = f32x4.add(v128.shuffle<f32>(s0, s1, 0, 4, 1, 5), v128.shuffle<f32>(s0, s1, 2, 6, 3, 7));
  const high = f32x4.add(v128.shuffle<f32>(s2, s3, 0, 4, 1, 5), v128.shuffle<f32>(s2, s3, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(low, high, 0, 1, 4, 5), v128.shuffle<f32>(low, high, 2, 3, 6, 7));
}
