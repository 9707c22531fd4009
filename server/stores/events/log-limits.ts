import { invalidField } from '../../core/errors.ts';
import type { AppendOptions } from './event-log.ts';

/** Bounds that hold for every event log, whatever keeps it; a read gives `defaultRead` entries by default. */
export const logLimits = {
  maxLogBytes: 512,
  /** A record's value less the entry's time stamp. */
  maxPayloadBytes: 4 * 1024 * 1024 - 8,
  maxIdBytes: 512,
  defaultIdempotencyTtlMs: 24 * 60 * 60 * 1000,
  defaultRead: 100,
  maxRead: 1_000,
} as const;

function checkText(field: string, text: string, maxBytes: number): void {
  if (text === '' || Buffer.byteLength(text) > maxBytes || !text.isWellFormed()) {
    throw invalidField(field, `must be 1 to ${maxBytes} bytes of well-formed text`);
  }
}

function checkPositive(field: string, value: number | undefined): void {
  if (value !== undefined && !(Number.isFinite(value) && value > 0)) throw invalidField(field, 'must be positive');
}

/** Throws INVALID_ARGUMENT unless the name is 1 to 512 bytes of well-formed text. */
export function checkLog(log: string): void {
  checkText('log', log, logLimits.maxLogBytes);
}

/** Throws INVALID_ARGUMENT for a payload over 4 MiB less 8 bytes, or options out of their bounds. */
export function checkAppend(log: string, payload: Uint8Array, options: AppendOptions): void {
  checkLog(log);
  if (payload.byteLength > logLimits.maxPayloadBytes) {
    throw invalidField('payload', `must be at most ${logLimits.maxPayloadBytes} bytes, got ${payload.byteLength}`);
  }
  if (options.id !== undefined) checkText('id', options.id, logLimits.maxIdBytes);
  checkPositive('idempotency_ttl_ms', options.idempotencyTtlMs);
  checkPositive('ttl_ms', options.ttlMs);
  if (options.maxEntries !== undefined && !(Number.isSafeInteger(options.maxEntries) && options.maxEntries >= 1)) {
    throw invalidField('max_entries', 'must be a positive whole number');
  }
}

/** The entries to read: default 100, capped at 1,000. Throws INVALID_ARGUMENT unless it is a positive whole number. */
export function readLimit(limit: number = logLimits.defaultRead): number {
  if (!Number.isInteger(limit) || limit < 1) throw invalidField('limit', 'must be a positive whole number');
  return Math.min(limit, logLimits.maxRead);
}
