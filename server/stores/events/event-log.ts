/**
 * Append-only logs: an append gets the next offset of its log (from 1, no gaps); readers keep their own offsets.
 * Embedded on the records store; Redis streams and Kafka scale it out. Suite: test/stores/events-conformance.ts.
 */
export interface EventLog {
  /** Appends and gives the offset. With an idempotency id seen before in this log: the earlier offset, nothing appended. */
  append(log: string, payload: Uint8Array, options?: AppendOptions): Promise<AppendResult>;
  /** Entries with offset > `after` in order, `limit` at most (default 100, capped at 1,000). */
  read(log: string, after: bigint, limit?: number): Promise<LogEntry[]>;
  /** Newest offset (0 when empty) and the oldest retained one; a reader below `oldest - 1` has lost entries and must reset. */
  position(log: string): Promise<{ oldest: bigint; newest: bigint; epoch: string }>;
  /** Resolves when the log's newest offset exceeds `after`; rejects on abort. */
  waitForAppend(log: string, after: bigint, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface AppendOptions {
  /** Idempotency id, remembered for `idempotencyTtlMs` (default 24 h). */
  readonly id?: string;
  readonly idempotencyTtlMs?: number;
  /** Entry is gone after this time; absent = for ever. */
  readonly ttlMs?: number;
  /** Keep at most this many newest entries in the log. */
  readonly maxEntries?: number;
}

export interface AppendResult {
  readonly offset: bigint;
  readonly duplicate: boolean;
}

export interface LogEntry {
  readonly offset: bigint;
  readonly payload: Uint8Array;
  readonly appendedMs: number;
}
