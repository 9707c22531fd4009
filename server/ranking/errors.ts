import { Code } from '../core/codes.ts';
import { AppError, notFound } from '../core/errors.ts';

/** NOT_FOUND/DATASET_NOT_FOUND. */
export function datasetNotFound(name: string): AppError {
  return notFound('dataset', name);
}

/** NOT_FOUND/MODEL_NOT_FOUND. */
export function modelNotFound(name: string): AppError {
  return notFound('model', name);
}

/** A data set with nothing to train on, e.g. no rating at all or no positive one. */
export function datasetUnusable(description: string): AppError {
  return new AppError({ code: Code.FAILED_PRECONDITION, reason: 'DATASET_UNUSABLE', message: description });
}

/** An import that exceeds its bound. */
export function datasetTooLarge(what: string, most: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'DATASET_TOO_LARGE',
    message: `a data set holds at most ${most} ${what}`,
    metadata: { most: String(most) },
  });
}

/** UNAVAILABLE/IMPORTS_BUSY: other imports fill the memory that is meant for them. */
export function importsBusy(most: number): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'IMPORTS_BUSY',
    message: `${most} imports are in progress already; try again`,
    metadata: { most: String(most) },
    retryAfterMs: 5_000,
  });
}

/** ABORTED/IMPORT_STALLED: an import whose caller sent nothing for too long; nothing is stored. */
export function importStalled(idleMs: number): AppError {
  return new AppError({
    code: Code.ABORTED,
    reason: 'IMPORT_STALLED',
    message: `the import brought nothing for ${idleMs} ms and gives its place to others; nothing was stored`,
    metadata: { idle_ms: String(idleMs) },
  });
}

/** A stored file whose bytes are not what its format says. */
export function fileDamaged(what: string, description: string, cause?: unknown): AppError {
  return new AppError({
    code: Code.DATA_LOSS,
    reason: 'RANKING_FILE_DAMAGED',
    message: `${what}: ${description}`,
    metadata: { file: what },
    cause,
  });
}

/** Nothing is known that could be recommended: no model, no ratings, no plays. */
export function noRatings(): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'NO_RATINGS',
    message: 'nothing is known about any title yet: import ratings and publish a model, or send play events',
    retryAfterMs: 1_000,
  });
}

/** The WebAssembly memory of a model or a training run cannot be had. */
export function kernelMemoryExhausted(bytes: number, cause?: unknown): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'KERNEL_MEMORY_EXHAUSTED',
    message: `no memory of ${bytes} bytes for the ranking kernels (at most 4 GiB)`,
    metadata: { bytes: String(bytes) },
    cause,
  });
}

/** A kernel was handed arrays that do not fit together: a fault of the calling code. */
export function kernelMisuse(kernel: string, description: string): AppError {
  return new AppError({ code: Code.INTERNAL, reason: 'KERNEL_MISUSE', message: `${kernel}: ${description}` });
}

/** A normal-equation matrix lost its positive definiteness; the regularisation is too small for f32. */
export function notPositiveDefinite(pivot: number): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'NOT_POSITIVE_DEFINITE',
    message: `the half-step matrix is not positive definite at pivot ${pivot}; use a larger regularisation`,
    metadata: { pivot: String(pivot) },
  });
}

/** Publications by others kept getting in between. */
export function publishConflict(name: string): AppError {
  return new AppError({
    code: Code.ABORTED,
    reason: 'PUBLISH_CONFLICT',
    message: `"${name}" was not published because other publications kept getting in between`,
    metadata: { name },
    retryAfterMs: 100,
  });
}

/** Events of one profile kept getting in between. */
export function profileConflict(profile: string): AppError {
  return new AppError({
    code: Code.ABORTED,
    reason: 'PROFILE_CONFLICT',
    message: `the events of profile "${profile}" were changed by others at the same time`,
    metadata: { profile },
    retryAfterMs: 50,
  });
}

/** More events are under way than the nearline tier takes on. */
export function nearlineOverloaded(bound: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'NEARLINE_OVERLOADED',
    message: `${bound} events are being folded in already`,
    metadata: { bound: String(bound) },
    retryAfterMs: 100,
  });
}
