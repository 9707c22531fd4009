/**
 * Wide-row store of small records: a partition holds rows sorted by key (bytewise on UTF-8).
 * Embedded on node:sqlite; Cassandra scales it out. Every backend passes test/stores/records-conformance.ts.
 */
export interface RecordsStore {
  /** The row, or undefined when absent or expired. */
  get(partition: string, key: string): Promise<RecordRow | undefined>;
  /** Stores a row and gives its new version. Durable (survives kill -9) when the promise resolves. */
  put(partition: string, key: string, value: Uint8Array, options?: PutOptions): Promise<bigint>;
  /** True when a row was there. With `ifVersion`, only that version is deleted: otherwise RECORD_CONFLICT. */
  delete(partition: string, key: string, options?: { ifVersion?: bigint }): Promise<boolean>;
  /** Rows in key order (or reverse), `limit` at most (default 100, capped at 10,000). */
  scan(partition: string, range?: ScanRange): Promise<RecordRow[]>;
  /** All or nothing, in order, within one transaction. At most 1,000 operations. */
  batch(operations: readonly BatchOperation[]): Promise<void>;
  close(): Promise<void>;
}

export interface RecordRow {
  readonly key: string;
  readonly value: Uint8Array;
  /** Grows with every write of this row; never reused for a row in the same partition and key. */
  readonly version: bigint;
}

export interface PutOptions {
  /** Time to live in ms from now; absent = for ever. */
  readonly ttlMs?: number;
  /** 'absent' = only if no live row is there; a bigint = only if the row has this version. Else RECORD_CONFLICT (ABORTED). */
  readonly ifVersion?: bigint | 'absent';
}

export interface ScanRange {
  /** Inclusive lower bound. */
  readonly from?: string;
  /** Exclusive upper bound. */
  readonly to?: string;
  /** Only keys with this prefix (combined with from/to). */
  readonly prefix?: string;
  readonly limit?: number;
  readonly reverse?: boolean;
}

export type BatchOperation =
  | ({
      readonly kind: 'put';
      readonly partition: string;
      readonly key: string;
      readonly value: Uint8Array;
    } & PutOptions)
  | { readonly kind: 'delete'; readonly partition: string; readonly key: string };
