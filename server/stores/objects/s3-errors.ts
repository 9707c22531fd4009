import { S3ServiceException } from '@aws-sdk/client-s3';
import { Code } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';
import { errnoOf } from '../store-errors.ts';
import type { S3Location } from './s3-url.ts';

/** The S3 error code, e.g. `NoSuchKey`; for failures below HTTP the errno or the error's name. */
export function s3CodeOf(error: unknown): string {
  if (error instanceof S3ServiceException) return error.name;
  return errnoOf(error) ?? (error instanceof Error ? error.name : 'unknown');
}

/** The HTTP status of the answer; undefined when none came. */
export function s3StatusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

/** Codes that a later attempt may not meet, although their status is no 5xx. */
const passing = new Set([
  ...[
    'SlowDown',
    'Throttling',
    'ThrottlingException',
    'RequestLimitExceeded',
    'TooManyRequests',
    'BandwidthLimitExceeded',
  ],
  ...['RequestTimeout', 'OperationAborted', 'RequestTimeTooSkewed', 'BadDigest'],
]);
const network = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'],
  ...['ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE', 'TimeoutError', 'NetworkingError', 'UND_ERR_SOCKET', 'EMFILE'],
]);

/** True when the same request may succeed a moment later: throttling, 5xx, a broken or refused connection, a time-out. */
export function isPassing(error: unknown): boolean {
  const status = s3StatusOf(error);
  if (
    status !== undefined &&
    (status === 429 || status === 408 || (status >= 500 && status !== 501 && status !== 507))
  ) {
    return true;
  }
  return passing.has(s3CodeOf(error)) || network.has(s3CodeOf(error));
}

const denied = new Set(['AccessDenied', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'ExpiredToken', 'InvalidToken']);
const elsewhere = new Set(['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException']);
const full = new Set(['QuotaExceeded', 'XMinioStorageFull', 'InsufficientStorage', 'EntityTooLarge']);

/**
 * A failed request as an AppError: OBJECTS_UNAVAILABLE (UNAVAILABLE), OBJECTS_BUCKET_MISSING, OBJECTS_ACCESS_DENIED,
 * OBJECTS_NO_CREDENTIALS, OBJECTS_REGION_WRONG (FAILED_PRECONDITION), OBJECTS_FULL (RESOURCE_EXHAUSTED), else
 * OBJECTS_REFUSED (INTERNAL). AppErrors pass unchanged.
 */
export function s3Failure({ bucket, endpoint }: S3Location, error: unknown): AppError {
  if (error instanceof AppError) return error;
  const code = s3CodeOf(error);
  const status = s3StatusOf(error);
  const at = endpoint ?? 'AWS S3';
  const fail = (grpc: Code, reason: string, message: string, retryAfterMs?: number) =>
    new AppError({
      code: grpc,
      reason,
      message,
      metadata: {
        bucket,
        endpoint: at,
        s3_code: code,
        ...(status === undefined ? {} : { http_status: String(status) }),
      },
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      cause: error,
    });
  if (isPassing(error) || status === 409) {
    return fail(Code.UNAVAILABLE, 'OBJECTS_UNAVAILABLE', `the object store at ${at} does not answer (${code})`, 1_000);
  }
  if (code === 'NoSuchBucket') {
    return fail(Code.FAILED_PRECONDITION, 'OBJECTS_BUCKET_MISSING', `${at} has no bucket "${bucket}"; make it first`);
  }
  if (elsewhere.has(code) || status === 301) {
    const message = `the bucket "${bucket}" lies in another region; set region= in SHOWRUNNER_OBJECTS_URL`;
    return fail(Code.FAILED_PRECONDITION, 'OBJECTS_REGION_WRONG', message);
  }
  if (denied.has(code) || status === 403 || status === 401) {
    const message = `${at} refuses these credentials for the bucket "${bucket}" (${code})`;
    return fail(Code.FAILED_PRECONDITION, 'OBJECTS_ACCESS_DENIED', message);
  }
  if (code === 'CredentialsProviderError') {
    const message = 'no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role';
    return fail(Code.FAILED_PRECONDITION, 'OBJECTS_NO_CREDENTIALS', message);
  }
  if (full.has(code) || status === 507) {
    return fail(Code.RESOURCE_EXHAUSTED, 'OBJECTS_FULL', `the object store at ${at} has no room (${code})`, 5_000);
  }
  return fail(
    Code.INTERNAL,
    'OBJECTS_REFUSED',
    `the object store at ${at} refused a request (${code}, HTTP ${status})`,
  );
}

/** FAILED_PRECONDITION: the server ignores `If-None-Match: *`, so that two writers could publish one title. */
export function conditionalWritesMissing({ bucket, endpoint = 'AWS S3' }: S3Location): AppError {
  return new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'OBJECTS_UNCONDITIONAL',
    message: `${endpoint} ignores If-None-Match on writes; a store with conditional writes is needed`,
    metadata: { bucket, endpoint },
  });
}

/** DATA_LOSS: the bytes that came are not those that were stored. */
export function objectCorrupt(key: string): AppError {
  return new AppError({
    code: Code.DATA_LOSS,
    reason: 'OBJECT_CORRUPT',
    message: `object "${key}" does not have the content that was stored`,
    metadata: { key },
  });
}

/** ABORTED: a local file was written to while it was stored. */
export function sourceChanged(path: string): AppError {
  return new AppError({
    code: Code.ABORTED,
    reason: 'SOURCE_CHANGED',
    message: `${path} changed while it was stored`,
    metadata: { path },
  });
}
