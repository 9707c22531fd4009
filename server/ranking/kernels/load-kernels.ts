import { readFileSync } from 'node:fs';
import { allBelow } from '../data/index-bounds.ts';
import { kernelMemoryExhausted, kernelMisuse } from '../errors.ts';
import { type WasmMemory, wasmApi } from './wasm-api.ts';

const pageBytes = 65_536;
const mostPages = 65_536;
const alignment = 16;
/** Rows that gatherRankUpdate and solveRow gather at a time; the same constant stands in rank-update.ts. */
const scratchRows = 64;
/** Most columns a factor matrix may have. */
const mostFactors = 256;

/** Typed arrays inside a kernel memory. */
export type F32 = Float32Array<SharedArrayBuffer>;
/** Indexes inside a kernel memory. */
export type U32 = Uint32Array<SharedArrayBuffer>;

/**
 * SIMD kernels over one shared memory. Matrices are row-major f32 with `d` columns, `d` a multiple of 4 up to 256.
 * Every array handed in must come from `f32`/`u32` of the same kernels; lengths are checked (KERNEL_MISUSE).
 */
export interface Kernels {
  /** Allocates zeroed floats, 16-byte aligned, for the life of the memory; KERNEL_MEMORY_EXHAUSTED when full. */
  f32(length: number): F32;
  u32(length: number): U32;
  /** out[i] = vector . matrix[from + i] for every i of `out`. */
  dotScan(vector: F32, matrix: F32, out: F32, from?: number): void;
  /** Upper triangle of a += q q' for each row q of `rows`. */
  rankUpdate(a: F32, rows: F32, d: number): void;
  /** Upper triangle of a += q q', b += q for each q = matrix[index]. */
  gatherRankUpdate(a: F32, b: F32, matrix: F32, indexes: U32): void;
  /** Factors the upper triangle of `a` in place, a = U'U; gives 0, or 1 + the first pivot that is not positive. */
  choleskyFactor(a: F32, d: number): number;
  /** Solves U'U x = b in place of b. */
  choleskySolve(u: F32, b: F32): void;
  /**
   * (base + ridge I + sum q q') x = sum q over q = matrix[index]; x goes to `out`, the factor U to `a`.
   * Gives 0, or 1 + the first pivot that is not positive.
   */
  solveRow(base: F32, ridge: number, matrix: F32, indexes: U32, a: F32, out: F32): number;
}

interface RawKernels {
  dotScan(vector: number, matrix: number, n: number, d: number, out: number): void;
  rankUpdate(a: number, rows: number, count: number, d: number): void;
  gatherRankUpdate(
    a: number,
    b: number,
    matrix: number,
    indexes: number,
    count: number,
    d: number,
    scratch: number,
  ): void;
  choleskyFactor(a: number, d: number): number;
  choleskySolve(u: number, d: number, b: number): void;
  solveRow(
    base: number,
    ridge: number,
    matrix: number,
    indexes: number,
    count: number,
    d: number,
    a: number,
    scratch: number,
    out: number,
  ): number;
}

let compiled: object | undefined;

function instantiate(memory: WasmMemory): RawKernels {
  compiled ??= new wasmApi.Module(readFileSync(new URL('./kernels.wasm', import.meta.url)));
  return new wasmApi.Instance(compiled, { env: { memory } }).exports as RawKernels;
}

/** Bytes that `length` 32-bit numbers take, with alignment: for summing up what `createKernels` needs. */
export function alignedBytes(length: number): number {
  return Math.ceil((length * 4) / alignment) * alignment;
}

/**
 * Creates a memory for `dataBytes` of arrays (sum of `alignedBytes`) and instantiates the kernels over it.
 * KERNEL_MEMORY_EXHAUSTED over 4 GiB or when the system has no more.
 */
export function createKernels(dataBytes: number): Kernels {
  const bytes = dataBytes + alignment + alignedBytes(scratchRows * mostFactors);
  const pages = Math.ceil(bytes / pageBytes);
  if (pages > mostPages) throw kernelMemoryExhausted(bytes);
  let memory: WasmMemory;
  try {
    memory = new wasmApi.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (error) {
    throw kernelMemoryExhausted(bytes, error);
  }
  return kernelsOver(memory);
}

function kernelsOver(memory: WasmMemory): Kernels {
  const raw = instantiate(memory);
  const buffer = memory.buffer;
  let used = alignment;
  const allocate = (length: number) => {
    const offset = used;
    if (offset + alignedBytes(length) > buffer.byteLength) throw kernelMemoryExhausted(offset + length * 4);
    used += alignedBytes(length);
    return offset;
  };
  const f32 = (length: number): F32 => new Float32Array(buffer, allocate(length), length);
  const scratch = f32(scratchRows * mostFactors).byteOffset;

  const check = (kernel: string, d: number, claims: Record<string, boolean>, ...arrays: (F32 | U32)[]) => {
    if (!Number.isInteger(d) || d < 4 || d > mostFactors || d % 4 !== 0) {
      throw kernelMisuse(kernel, `${d} factors; expected a multiple of 4 from 4 to ${mostFactors}`);
    }
    for (const array of arrays) {
      if (array.buffer !== buffer) throw kernelMisuse(kernel, 'array of another memory');
      if (array.byteOffset % (array instanceof Uint32Array ? 4 : alignment) !== 0) {
        throw kernelMisuse(kernel, `array not aligned to ${alignment} bytes`);
      }
    }
    for (const [claim, holds] of Object.entries(claims)) if (!holds) throw kernelMisuse(kernel, `expected ${claim}`);
  };
  return {
    f32,
    u32: (length) => new Uint32Array(buffer, allocate(length), length),
    dotScan: (vector, matrix, out, from = 0) => {
      const d = vector.length;
      check('dotScan', d, { 'rows in range': from >= 0 && (from + out.length) * d <= matrix.length }, vector, matrix);
      check('dotScan', d, {}, out);
      raw.dotScan(vector.byteOffset, matrix.byteOffset + from * d * 4, out.length, d, out.byteOffset);
    },
    rankUpdate: (a, rows, d) => {
      check('rankUpdate', d, { 'a of d x d': a.length === d * d, 'whole rows': rows.length % d === 0 }, a, rows);
      raw.rankUpdate(a.byteOffset, rows.byteOffset, rows.length / d, d);
    },
    gatherRankUpdate: (a, b, matrix, indexes) => {
      const d = b.length;
      const claims = { 'a of d x d': a.length === d * d, 'rows in range': allBelow(indexes, matrix.length / d) };
      check('gatherRankUpdate', d, claims, a, b, matrix, indexes);
      raw.gatherRankUpdate(
        a.byteOffset,
        b.byteOffset,
        matrix.byteOffset,
        indexes.byteOffset,
        indexes.length,
        d,
        scratch,
      );
    },
    choleskyFactor: (a, d) => {
      check('choleskyFactor', d, { 'a of d x d': a.length === d * d }, a);
      return raw.choleskyFactor(a.byteOffset, d);
    },
    choleskySolve: (u, b) => {
      check('choleskySolve', b.length, { 'u of d x d': u.length === b.length ** 2 }, u, b);
      raw.choleskySolve(u.byteOffset, b.length, b.byteOffset);
    },
    solveRow: (base, ridge, matrix, indexes, a, out) => {
      const d = out.length;
      const claims = {
        'base and a of d x d': base.length === d * d && a.length === d * d,
        'rows in range': allBelow(indexes, matrix.length / d),
      };
      check('solveRow', d, claims, base, matrix, indexes, a, out);
      return raw.solveRow(
        base.byteOffset,
        ridge,
        matrix.byteOffset,
        indexes.byteOffset,
        indexes.length,
        d,
        a.byteOffset,
        scratch,
        out.byteOffset,
      );
    },
  };
}
