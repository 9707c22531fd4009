import type { Duration, Timestamp } from '@bufbuild/protobuf/wkt';
import { invalidField } from '../../core/errors.ts';

const leastSeconds = -62_135_596_800n; // 0001-01-01T00:00:00Z
const mostSeconds = 253_402_300_799n; // 9999-12-31T23:59:59Z
const mostDurationSeconds = 315_576_000_000n; // 10,000 years

/** Unix ms of a Timestamp, undefined when absent; INVALID_ARGUMENT outside the years 1 to 9999. */
export function readTimestamp(field: string, value: Timestamp | undefined): number | undefined {
  if (value === undefined) return undefined;
  const { seconds, nanos } = value;
  if (seconds < leastSeconds || seconds > mostSeconds || nanos < 0 || nanos > 999_999_999) {
    throw invalidField(field, 'must be a time of the years 1 to 9999 with 0 to 999,999,999 nanoseconds');
  }
  return Number(seconds) * 1000 + Math.floor(nanos / 1e6);
}

/** Milliseconds of a Duration, undefined when absent; INVALID_ARGUMENT when malformed. Negative ones are let through. */
export function readDuration(field: string, value: Duration | undefined): number | undefined {
  if (value === undefined) return undefined;
  const { seconds, nanos } = value;
  const isMixed = (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
  const isHuge = seconds > mostDurationSeconds || seconds < -mostDurationSeconds;
  if (isMixed || isHuge || Math.abs(nanos) > 999_999_999) {
    throw invalidField(field, 'must be a valid google.protobuf.Duration of at most 10,000 years');
  }
  return Number(seconds) * 1000 + nanos / 1e6;
}
