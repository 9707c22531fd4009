import { Code } from '../core/codes.ts';
import { AppError, notFound } from '../core/errors.ts';

/** NOT_FOUND: nothing of the upload is there: never begun, dropped, or removed after its time. */
export const uploadNotFound = (name: string): AppError => notFound('upload', name);

/** NOT_FOUND: no job of kind `transcode` has this id. */
export const transcodeNotFound = (name: string): AppError => notFound('transcode', name);

/** NOT_FOUND: no commit record of this title version. */
export const encodeSetNotFound = (name: string): AppError => notFound('encodeSet', name);

/** NOT_FOUND: the store has no object under the source key. */
export const sourceNotFound = (key: string): AppError => notFound('source', key);

/** INVALID_ARGUMENT: more bytes than the server takes. */
export function uploadTooLarge(bytes: number, maxBytes: number): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'UPLOAD_TOO_LARGE',
    message: `${bytes} bytes are more than the ${maxBytes} that this server takes`,
    metadata: { bytes: String(bytes), max_bytes: String(maxBytes) },
    fields: [{ field: 'header.size_bytes', description: `must be at most ${maxBytes}` }],
  });
}

/** INVALID_ARGUMENT: more bytes came than the header announced; what fitted is kept. */
export function uploadOverrun(sizeBytes: number): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'UPLOAD_OVERRUN',
    message: `more than the ${sizeBytes} bytes came that the header announced`,
    metadata: { size_bytes: String(sizeBytes) },
  });
}

/** FAILED_PRECONDITION: the stream begins where nothing is missing, or leaves a hole. */
export function uploadOffsetMismatch(offset: number, receivedBytes: number): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'UPLOAD_OFFSET_MISMATCH',
    message: `the stream begins at byte ${offset}, ${receivedBytes} bytes are there: go on from there`,
    metadata: { offset_bytes: String(offset), received_bytes: String(receivedBytes) },
  });
}

/** DATA_LOSS: all bytes came and are not the announced content; they were dropped. */
export function uploadChecksumMismatch(expected: string, actual: string): AppError {
  return new AppError({
    code: Code.DATA_LOSS,
    reason: 'UPLOAD_CHECKSUM_MISMATCH',
    message: `the content has SHA-256 ${actual}, announced was ${expected}; send it again from the start`,
    metadata: { expected, actual },
  });
}

/** ABORTED: a newer stream of the same upload has begun. */
export function uploadTakenOver(name: string): AppError {
  return new AppError({
    code: Code.ABORTED,
    reason: 'UPLOAD_TAKEN_OVER',
    message: `a newer stream goes on with ${name}`,
    metadata: { name },
  });
}

/** DEADLINE_EXCEEDED: the sender kept silent; what came is kept. */
export function uploadIdle(name: string, ms: number): AppError {
  return new AppError({
    code: Code.DEADLINE_EXCEEDED,
    reason: 'UPLOAD_IDLE',
    message: `nothing came for ${ms} ms; go on with ${name} from its received_bytes`,
    metadata: { name },
  });
}

/** RESOURCE_EXHAUSTED: too many uploads are unfinished or run at once. */
export function tooManyUploads(most: number): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'TOO_MANY_UPLOADS',
    message: `${most} uploads are unfinished or running already`,
    metadata: { most: String(most) },
    retryAfterMs: 10_000,
  });
}
