/**
 * Store of immutable blobs by key (`/`-separated, no `.` or `..` segments, at most 512 bytes). Embedded: a folder.
 * Scale-out: S3. Both pass test/stores/objects-conformance.ts. A put is all or nothing: a reader never sees a part of
 * an object, also after kill -9 or a full disk. Bad keys and options reject with INVALID_FIELDS, every call after
 * `close` with STORE_CLOSED.
 */
export interface ObjectStore {
  /** Stores the body under the key, replacing what was there. Durable when the promise resolves. */
  put(key: string, body: Uint8Array | AsyncIterable<Uint8Array>, options?: PutObjectOptions): Promise<ObjectInfo>;
  /** Stores a local file's content. The file is left in place. */
  putFile(key: string, path: string, options?: PutObjectOptions): Promise<ObjectInfo>;
  /** The whole content. OBJECT_NOT_FOUND when absent, OBJECT_TOO_LARGE over `maxBytes` (default 64 MiB). */
  read(key: string, options?: { maxBytes?: number; signal?: AbortSignal }): Promise<Uint8Array>;
  /**
   * Content as a stream, optionally `[start, end)` of it; an `end` past the object is its end. OBJECT_NOT_FOUND,
   * OBJECT_RANGE for a `start` past it.
   */
  open(key: string, options?: { start?: number; end?: number; signal?: AbortSignal }): Promise<OpenObject>;
  /** What is known of the object; undefined when absent. */
  stat(key: string): Promise<ObjectInfo | undefined>;
  /**
   * Keys with the prefix in order (bytewise on UTF-8), after `after`, `limit` at most (default 1,000, capped at
   * 10,000).
   */
  list(prefix: string, options?: { after?: string; limit?: number }): Promise<ObjectInfo[]>;
  /** True when an object was there. */
  delete(key: string): Promise<boolean>;
  /**
   * A path from which child processes can read the object; downloads to a temp file where the backend is remote.
   * OBJECT_NOT_FOUND.
   */
  localPath(key: string, signal?: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

/** How an object is stored. */
export interface PutObjectOptions {
  /** Default `application/octet-stream`. */
  readonly contentType?: string;
  /** Refuse with OBJECT_EXISTS when the key is taken (publish by commit record). */
  readonly ifAbsent?: boolean;
  /** Gives the put up: nothing is stored then. */
  readonly signal?: AbortSignal;
}

/** What is known of an object without its content. */
export interface ObjectInfo {
  readonly key: string;
  readonly bytes: number;
  /** Lower-case hex; computed on put. */
  readonly sha256: string;
  readonly contentType: string;
  /** Unix ms of the put. */
  readonly modifiedMs: number;
}

/** An object that is being read. */
export interface OpenObject {
  readonly info: ObjectInfo;
  /** Rejects with OBJECT_CHANGED when the object was replaced or deleted meanwhile. */
  readonly body: AsyncIterable<Uint8Array>;
}
