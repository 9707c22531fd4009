import { Code } from '../../core/codes.ts';
import { AppError, invalidField } from '../../core/errors.ts';
import type { BatchOperation, ScanRange } from './records-store.ts';

/** Bounds that hold for every records store, whatever keeps it; a scan gives `defaultScanRows` rows by default. */
export const recordLimits = {
  maxKeyBytes: 1024,
  maxValueBytes: 4 * 1024 * 1024,
  maxBatchOperations: 1000,
  defaultScanRows: 100,
  maxScanRows: 10_000,
  /** A scan that would give more than this fails with SCAN_TOO_LARGE: ask for fewer rows. */
  maxScanBytes: 64 * 1024 * 1024,
} as const;

/** ABORTED: the condition of a put or delete did not hold. */
export function recordConflict(partition: string, key: string, expected: bigint | 'absent'): AppError {
  return new AppError({
    code: Code.ABORTED,
    reason: 'RECORD_CONFLICT',
    message: `record "${key}" of "${partition}" is not ${expected === 'absent' ? 'absent' : `at version ${expected}`}`,
    metadata: { partition, key, expected: String(expected) },
  });
}

/** RESOURCE_EXHAUSTED: the rows of a scan exceed `maxScanBytes`. */
export function scanTooLarge(partition: string): AppError {
  return new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'SCAN_TOO_LARGE',
    message: `a scan of "${partition}" exceeds ${recordLimits.maxScanBytes} bytes; ask for fewer rows`,
    metadata: { partition, max_bytes: String(recordLimits.maxScanBytes) },
  });
}

function checkName(field: string, text: string): void {
  if (text.length === 0) throw invalidField(field, 'must not be empty');
  // Every UTF-16 unit is at least one byte, so long texts need no measuring.
  if (text.length > recordLimits.maxKeyBytes || Buffer.byteLength(text) > recordLimits.maxKeyBytes) {
    throw invalidField(field, `must be at most ${recordLimits.maxKeyBytes} bytes`);
  }
  if (!text.isWellFormed()) throw invalidField(field, 'must be well-formed Unicode');
}

/** Throws INVALID_ARGUMENT unless both are 1 to 1,024 bytes of well-formed text. */
export function checkAddress(partition: string, key: string): void {
  checkName('partition', partition);
  checkName('key', key);
}

/** Throws INVALID_ARGUMENT for a value over 4 MiB or a TTL that is not a positive number. */
export function checkPut(value: Uint8Array, ttlMs: number | undefined): void {
  if (value.byteLength > recordLimits.maxValueBytes) {
    throw invalidField('value', `must be at most ${recordLimits.maxValueBytes} bytes, got ${value.byteLength}`);
  }
  if (ttlMs !== undefined && !(ttlMs > 0 && ttlMs <= Number.MAX_SAFE_INTEGER / 2)) {
    throw invalidField('ttl_ms', `must be a positive number of milliseconds, got ${ttlMs}`);
  }
}

/** Throws INVALID_ARGUMENT for more than 1,000 operations or a bad one. */
export function checkBatch(operations: readonly BatchOperation[]): void {
  if (operations.length > recordLimits.maxBatchOperations) {
    throw invalidField('operations', `at most ${recordLimits.maxBatchOperations}, got ${operations.length}`);
  }
  for (const operation of operations) {
    checkAddress(operation.partition, operation.key);
    if (operation.kind === 'put') checkPut(operation.value, operation.ttlMs);
  }
}

/** The row limit of a scan: default 100, capped at 10,000. Throws INVALID_ARGUMENT for a bad limit or bad bounds. */
export function checkScan(partition: string, range: ScanRange): number {
  checkName('partition', partition);
  for (const bound of ['from', 'to', 'prefix'] as const) {
    const text = range[bound];
    if (text !== undefined && text !== '') checkName(bound, text);
  }
  const limit = range.limit ?? recordLimits.defaultScanRows;
  if (!Number.isInteger(limit) || limit < 1)
    throw invalidField('limit', `must be a positive whole number, got ${limit}`);
  return Math.min(limit, recordLimits.maxScanRows);
}
