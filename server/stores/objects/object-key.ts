import { Code } from '../../core/codes.ts';
import { AppError, invalidField } from '../../core/errors.ts';

const maxKeyBytes = 512;
/** The longest name a file system takes. */
const maxSegmentBytes = 255;
const maxContentTypeBytes = 100;

/**
 * Throws INVALID_ARGUMENT unless the key is 1 to 512 bytes of `/`-separated segments of at most 255 bytes, none of
 * them empty, `.` or `..`, without backslashes and control characters; keys that start with `.` are the store's own.
 */
export function checkObjectKey(key: string): void {
  const fault = keyFault(key);
  if (fault !== undefined) throw invalidField('key', `${fault}, got ${JSON.stringify(key.slice(0, 100))}`);
}

function keyFault(key: string): string | undefined {
  if (key === '') return 'must not be empty';
  if (Buffer.byteLength(key) > maxKeyBytes) return `must be at most ${maxKeyBytes} bytes`;
  if (!key.isWellFormed()) return 'must be well-formed Unicode';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\x00-\x1f\x7f\\]/.test(key)) return 'must not have control characters or backslashes';
  if (key.startsWith('.')) return 'must not start with "."';
  for (const segment of key.split('/')) {
    if (segment === '' || segment === '.' || segment === '..') return 'must not have empty, "." or ".." segments';
    if (Buffer.byteLength(segment) > maxSegmentBytes) return `must not have segments over ${maxSegmentBytes} bytes`;
  }
  return undefined;
}

/** Throws INVALID_ARGUMENT unless the content type is 1 to 100 printable ASCII characters. */
export function checkContentType(contentType: string): void {
  if (!/^[\x20-\x7e]+$/.test(contentType) || contentType.length > maxContentTypeBytes) {
    throw invalidField('content_type', `must be 1 to ${maxContentTypeBytes} printable ASCII characters`);
  }
}

/** NOT_FOUND: no object has this key. */
export function objectNotFound(key: string): AppError {
  return objectError(Code.NOT_FOUND, 'OBJECT_NOT_FOUND', `object "${key}" does not exist`, key);
}

/** ALREADY_EXISTS: a put with `ifAbsent` met an object. */
export function objectExists(key: string): AppError {
  return objectError(Code.ALREADY_EXISTS, 'OBJECT_EXISTS', `object "${key}" exists already`, key);
}

/** ABORTED: the object was replaced or deleted between opening it and reading it. */
export function objectChanged(key: string): AppError {
  return objectError(Code.ABORTED, 'OBJECT_CHANGED', `object "${key}" changed while it was read`, key);
}

/** FAILED_PRECONDITION: an object cannot lie below another one, as `a/b` below `a`. */
export function objectKeyConflict(key: string): AppError {
  const message = `object "${key}" is in the way of, or below, another object's key`;
  return objectError(Code.FAILED_PRECONDITION, 'OBJECT_KEY_CONFLICT', message, key);
}

/** RESOURCE_EXHAUSTED: the object exceeds what the reader takes into memory. */
export function objectTooLarge(key: string, bytes: number, maxBytes: number): AppError {
  const message = `object "${key}" has ${bytes} bytes, over the limit of ${maxBytes}`;
  return objectError(Code.RESOURCE_EXHAUSTED, 'OBJECT_TOO_LARGE', message, key);
}

/** OUT_OF_RANGE: the asked part does not lie within the object. */
export function objectRange(key: string, start: number, end: number, bytes: number): AppError {
  const message = `bytes ${start} to ${end} do not lie within the ${bytes} bytes of object "${key}"`;
  return objectError(Code.OUT_OF_RANGE, 'OBJECT_RANGE', message, key);
}

function objectError(code: Code, reason: string, message: string, key: string): AppError {
  return new AppError({ code, reason, message, metadata: { key } });
}
