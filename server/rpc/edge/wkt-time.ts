import { create } from '@bufbuild/protobuf';
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt';
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

/**
 * Whole milliseconds of a Duration, undefined when absent; what is left of one counts as one, so that no time is
 * shorter than asked for. INVALID_ARGUMENT when malformed. Negative ones are let through.
 */
export function readDuration(field: string, value: Duration | undefined): number | undefined {
  if (value === undefined) return undefined;
  const { seconds, nanos } = value;
  const isMixed = (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
  const most = nanos === 0 ? mostDurationSeconds : mostDurationSeconds - 1n;
  const isHuge = seconds > most || seconds < -most;
  if (isMixed || isHuge || Math.abs(nanos) > 999_999_999) {
    throw invalidField(field, 'must be a valid google.protobuf.Duration of at most 10,000 years');
  }
  const ms = Number(seconds) * 1000 + nanos / 1e6;
  return ms < 0 ? Math.floor(ms) : Math.ceil(ms);
}

/**
 * A Duration of milliseconds, to the nanosecond; at most 10,000 years. The package's own helper makes one of a part of
 * it that none can send.
 */
export function toDuration(given: number): Duration {
  const most = Number(mostDurationSeconds) * 1000;
  const ms = Math.max(-most, Math.min(given, most));
  const whole = Math.trunc(ms / 1000);
  const nanos = Math.round((ms - whole * 1000) * 1e6);
  const carry = Math.abs(nanos) === 1e9 ? Math.sign(nanos) : 0;
  // `+ 0` makes a negative zero a zero, which alone can be sent.
  return create(DurationSchema, { seconds: BigInt(whole + carry), nanos: nanos - carry * 1e9 + 0 });
}

/**
 * A Timestamp of Unix milliseconds; what is left of one is dropped, and what lies outside of the years 1 to 9999 is
 * their begin or end: JSON has no other, and one of them would make the whole answer unreadable.
 */
export function toTimestamp(ms: number): Timestamp {
  const whole = Math.floor(Math.max(Number(leastSeconds) * 1000, Math.min(ms, Number(mostSeconds) * 1000 + 999)));
  const seconds = Math.floor(whole / 1000);
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: (whole - seconds * 1000) * 1e6 });
}
