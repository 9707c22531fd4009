/**
 * Append-only logs: an append gets the next offset of its log (from 1, no gaps); readers keep their own offsets.
 * Embedded on the records store; every backend passes test/stores/events-conformance.ts. Values beyond `logLimits`
 * reject with INVALID_FIELDS, every call after `close` with STORE_CLOSED.
 */
export interface EventLog {
  /**
   * Appends, durably once it resolves, and gives the offset. With an idempotency id seen before in this log: the
   * earlier offset, nothing appended. STORE_OVERLOADED when too many appends wait.
   */
  append(log: string, payload: Uint8Array, options?: AppendOptions): Promise<AppendResult>;
  /** Entries with offset > `after` in order, `limit` at most (default 100, capped at 1,000). */
  read(log: string, after: bigint, limit?: number): Promise<LogEntry[]>;
  /**
   * Newest offset (0 when empty) and the oldest retained one; a reader below `oldest - 1` has lost entries and must
   * reset. `epoch` names the log's history: with another one, offsets mean other entries.
   */
  position(log: string): Promise<{ oldest: bigint; newest: bigint; epoch: string }>;
  /**
   * Resolves when the log's newest offset exceeds `after`; rejects on abort, and with STORE_OVERLOADED when too many
   * readers wait.
   */
  waitForAppend(log: string, after: bigint, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** How an entry is appended and kept. */
export interface AppendOptions {
  /** Idempotency id of 1 to 512 bytes, remembered for `idempotencyTtlMs` (default 24 h). */
  readonly id?: string;
  readonly idempotencyTtlMs?: number;
  /** The entry is gone after this time, in ms; absent = never. */
  readonly ttlMs?: number;
  /** Keep at most this many newest entries in the log. */
  readonly maxEntries?: number;
}

/** Where the entry is. */
export interface AppendResult {
  readonly offset: bigint;
  /** True: the id was seen before, and nothing was appended. */
  readonly duplicate: boolean;
}

/** One entry as it was appended. */
export interface LogEntry {
  readonly offset: bigint;
  readonly payload: Uint8Array;
  /** Unix ms. */
  readonly appendedMs: number;
}
