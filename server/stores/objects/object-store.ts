/**
 * Store of immutable blobs by key (`/`-separated, no `.` or `..` segments, at most 512 bytes).
 * Embedded: a folder. Scale-out: S3. Every backend passes test/stores/objects-conformance.ts.
 * A put is all or nothing: a reader never sees a part of an object, also after kill -9 or a full disk.
 */
export interface ObjectStore {
  /** Stores the body under the key, replacing what was there. Durable when the promise resolves. */
  put(key: string, body: Uint8Array | AsyncIterable<Uint8Array>, options?: PutObjectOptions): Promise<ObjectInfo>;
  /** Stores a local file's content. The file is left in place. */
  putFile(key: string, path: string, options?: PutObjectOptions): Promise<ObjectInfo>;
  /** The whole content; OBJECT_NOT_FOUND when absent. Refuses objects over `maxBytes` (default 64 MiB). */
  read(key: string, options?: { maxBytes?: number; signal?: AbortSignal }): Promise<Uint8Array>;
  /** Content as a stream, optionally `[start, end)` of it. */
  open(key: string, options?: { start?: number; end?: number; signal?: AbortSignal }): Promise<OpenObject>;
  stat(key: string): Promise<ObjectInfo | undefined>;
  /** Keys with the prefix in order, after `after`, `limit` at most (default 1,000). */
  list(prefix: string, options?: { after?: string; limit?: number }): Promise<ObjectInfo[]>;
  /** True when an object was there. */
  delete(key: string): Promise<boolean>;
  /** A path from which child processes can read the object; downloads to a temp file where the backend is remote. */
  localPath(key: string, signal?: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

export interface PutObjectOptions {
  readonly contentType?: string;
  /** Refuse with OBJECT_EXISTS when the key is taken (publish by commit record). */
  readonly ifAbsent?: boolean;
  readonly signal?: AbortSignal;
}

export interface ObjectInfo {
  readonly key: string;
  readonly bytes: number;
  /** Lower-case hex; computed on put. */
  readonly sha256: string;
  readonly contentType: string;
  readonly modifiedMs: number;
}

export interface OpenObject {
  readonly info: ObjectInfo;
  readonly body: AsyncIterable<Uint8Array>;
}
