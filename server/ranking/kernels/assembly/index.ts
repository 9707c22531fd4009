// The module's exports. All pointers are byte offsets into the imported memory; all numbers are f32.
// A matrix is row-major with `d` columns, `d` a multiple of 4, rows 16-byte aligned. Bounds are checked by
// load-kernels.ts: nothing in here does.
export { dotScan } from './dot-scan';
export { gatherRankUpdate, rankUpdate } from './rank-update';
export { choleskyFactor, choleskySolve } from './cholesky';
export { solveRow } from './solve-row';
