/**
 * Wide-row store of small records: a partition holds rows sorted by key (bytewise on UTF-8). Embedded on node:sqlite;
 * every backend passes test/stores/records-conformance.ts. Names, values and limits beyond `recordLimits` reject with
 * INVALID_FIELDS, every call after `close` with STORE_CLOSED.
 */
export interface RecordsStore {
  /** The row, or undefined when absent or expired. */
  get(partition: string, key: string): Promise<RecordRow | undefined>;
  /**
   * Stores a row and gives its new version. Durable (survives kill -9) when the promise resolves. RECORD_CONFLICT when
   * `ifVersion` does not hold.
   */
  put(partition: string, key: string, value: Uint8Array, options?: PutOptions): Promise<bigint>;
  /** True when a row was there. With `ifVersion`, only that version is deleted: otherwise RECORD_CONFLICT. */
  delete(partition: string, key: string, options?: { ifVersion?: bigint }): Promise<boolean>;
  /**
   * Rows in key order (or reverse), `limit` at most (default 100, capped at 10,000). SCAN_TOO_LARGE when they have over
   * 64 MiB.
   */
  scan(partition: string, range?: ScanRange): Promise<RecordRow[]>;
  /**
   * All or nothing, in order, within one transaction: a condition that does not hold (RECORD_CONFLICT) undoes the
   * whole. At most 1,000 operations.
   */
  batch(operations: readonly BatchOperation[]): Promise<void>;
  /** Resolves when what was accepted is written. */
  close(): Promise<void>;
}

/** A row that is there and has not expired. */
export interface RecordRow {
  readonly key: string;
  readonly value: Uint8Array;
  /** Grows with every write of this row; never reused for a row in the same partition and key. */
  readonly version: bigint;
}

/** How a row is stored. */
export interface PutOptions {
  /** Time to live in ms from now; absent = for ever. */
  readonly ttlMs?: number;
  /** 'absent' = only if no live row is there; a bigint = only if the row has this version. Else RECORD_CONFLICT (ABORTED). */
  readonly ifVersion?: bigint | 'absent';
}

/** The part of a partition that is wanted; without any field its first rows. */
export interface ScanRange {
  /** Inclusive lower bound. */
  readonly from?: string;
  /** Exclusive upper bound. */
  readonly to?: string;
  /** Only keys with this prefix (combined with from/to). */
  readonly prefix?: string;
  /** Default 100, capped at 10,000. */
  readonly limit?: number;
  /** True: last rows first. Default false. */
  readonly reverse?: boolean;
}

/** One write of a batch, as `put` and an unconditional `delete`. */
export type BatchOperation =
  | ({
      readonly kind: 'put';
      readonly partition: string;
      readonly key: string;
      readonly value: Uint8Array;
    } & PutOptions)
  | { readonly kind: 'delete'; readonly partition: string; readonly key: string };
