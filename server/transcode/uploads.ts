import { createHash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { AppError, invalidField } from '../core/errors.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import {
  tooManyUploads,
  uploadChecksumMismatch,
  uploadIdle,
  uploadNotFound,
  uploadOffsetMismatch,
  uploadOverrun,
  uploadTooLarge,
} from './errors.ts';
import { createUploadParts, type FoundUpload, touched, type UploadParts } from './upload-parts.ts';
import { createUploadTurns } from './upload-turns.ts';

/** An upload as callers see it. */
export interface UploadState {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly receivedBytes: number;
  /** Undefined while bytes are missing. */
  readonly sourceKey?: string;
  /** Unix ms; undefined once complete. */
  readonly createMs?: number;
  /** Unix ms from which it may be removed; undefined once complete. */
  readonly expireMs?: number;
}

/** What a stream says before its bytes. */
export interface UploadStart {
  /** Digest of the whole source, lower-case hex: the upload's name. */
  readonly sha256: string;
  /** Of the whole source. */
  readonly sizeBytes: number;
  /** Place of the stream's first byte in it. */
  readonly offset: number;
}

/** Sources that callers send, whole or in several streams. */
export interface Uploads {
  /** Removes uploads that nobody went on with in their time; gives how many. */
  clean(signal?: AbortSignal): Promise<number>;
  /** Throws UPLOAD_NOT_FOUND. */
  get(sha256: string): Promise<UploadState>;
  /**
   * Takes the bytes of one stream. Throws UPLOAD_TOO_LARGE, UPLOAD_OVERRUN, UPLOAD_OFFSET_MISMATCH,
   * UPLOAD_CHECKSUM_MISMATCH, UPLOAD_TAKEN_OVER, UPLOAD_IDLE, TOO_MANY_UPLOADS; whatever it throws but a bad checksum,
   * what came is kept.
   */
  receive(
    start: UploadStart,
    data: AsyncIterator<Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ upload: UploadState; existed: boolean }>;
}

/** Where uploads go, and their bounds. */
export interface UploadsOptions {
  readonly objects: ObjectStore;
  readonly clock: Clock;
  /** Largest source, in bytes. */
  readonly maxBytes: number;
  /** Bytes gathered before they are made durable, held in memory for each running stream. Default 8 MiB. */
  readonly partBytes?: number;
  /** Longest silence of a sender, in ms. Default 60,000. */
  readonly idleMs?: number;
  /** How long an unfinished upload is kept after its last stream began, in ms. Default 7 days. */
  readonly retentionMs?: number;
  /** Unfinished uploads. Default 500. */
  readonly maxUnfinished?: number;
  /** Streams at once. Default 32. */
  readonly maxStreams?: number;
}

/** Object key of a source by its content. */
const sourceKeyOf = (sha256: string): string => `sources/${sha256}`;

/** Uploads named by their content's digest: they resume after a break, and what is there already is not sent again. */
export function createUploads(options: UploadsOptions): Uploads {
  const { objects, clock, maxBytes, partBytes = 8 * 1024 ** 2, idleMs = 60_000 } = options;
  const { retentionMs = 7 * 24 * 3_600_000, maxUnfinished = 500, maxStreams = 32 } = options;
  const parts = createUploadParts(objects);
  const turns = createUploadTurns(maxStreams);

  async function findComplete(sha256: string): Promise<UploadState | undefined> {
    const info = await objects.stat(sourceKeyOf(sha256));
    if (info?.sha256 !== sha256) return undefined;
    return { sha256, sizeBytes: info.bytes, receivedBytes: info.bytes, sourceKey: info.key };
  }

  const stateOf = (sha256: string, { record, receivedBytes }: FoundUpload): UploadState => ({
    sha256,
    sizeBytes: record.sizeBytes,
    receivedBytes,
    createMs: record.createMs,
    expireMs: record.touchedMs + retentionMs,
  });

  async function clean(signal?: AbortSignal) {
    let kept = 0;
    let removed = 0;
    for (const { sha256, isOld } of await parts.list(clock.now() - retentionMs)) {
      signal?.throwIfAborted();
      if (isOld && !turns.has(sha256)) {
        await parts.remove(sha256);
        removed++;
      } else kept++;
    }
    return { kept, removed };
  }

  /** Removes what was given up long ago, then makes room for one more. */
  async function begin({ sha256, sizeBytes }: UploadStart): Promise<FoundUpload> {
    if ((await clean()).kept >= maxUnfinished) throw tooManyUploads(maxUnfinished);
    const record = { sizeBytes, createMs: clock.now(), touchedMs: clock.now() };
    await parts.save(sha256, record);
    return (await parts.find(sha256)) ?? { record, receivedBytes: 0, parts: [] };
  }

  async function open(start: UploadStart): Promise<FoundUpload> {
    const found = await parts.find(start.sha256);
    const upload = found ?? (await begin(start));
    if (found) await parts.save(start.sha256, touched(found.record, clock));
    if (upload.record.sizeBytes !== start.sizeBytes) {
      throw invalidField('header.size_bytes', `the upload was begun with ${upload.record.sizeBytes} bytes`);
    }
    if (start.offset !== upload.receivedBytes) throw uploadOffsetMismatch(start.offset, upload.receivedBytes);
    return upload;
  }

  async function complete(sha256: string, signal: AbortSignal): Promise<UploadState> {
    const found = await parts.find(sha256);
    if (!found) {
      // A stream on another server was faster, and did not know of the parts that came here since.
      const done = await findComplete(sha256);
      if (!done) throw uploadNotFound(`uploads/${sha256}`);
      await parts.remove(sha256);
      return done;
    }
    const { sizeBytes } = found.record;
    // One on another server put a shorter part in the place of ours: what is there is right, and not all.
    if (found.receivedBytes < sizeBytes) throw uploadOffsetMismatch(sizeBytes, found.receivedBytes);
    try {
      const body = checked(parts.read(found, signal), sha256);
      await objects.put(sourceKeyOf(sha256), body, { signal });
    } catch (error) {
      if (error instanceof AppError && error.reason === 'UPLOAD_CHECKSUM_MISMATCH') await parts.remove(sha256);
      throw error;
    }
    await parts.remove(sha256);
    return { sha256, sizeBytes, receivedBytes: sizeBytes, sourceKey: sourceKeyOf(sha256) };
  }

  return {
    clean: async (signal) => (await clean(signal)).removed,
    get: async (sha256) => {
      const done = await findComplete(sha256);
      if (done) return done;
      const found = await parts.find(sha256);
      if (!found) throw uploadNotFound(`uploads/${sha256}`);
      return stateOf(sha256, found);
    },
    receive: async (start, data, signal) => {
      const { sha256, sizeBytes } = start;
      if (sizeBytes > maxBytes) throw uploadTooLarge(sizeBytes, maxBytes);
      const done = await findComplete(sha256);
      if (done) return { upload: done, existed: true };
      using turn = await turns.take(sha256);
      const ends = AbortSignal.any([signal, turn.signal]);
      const upload = await open(start);
      const next = impatient(data, ends, { clock, idleMs, name: `uploads/${sha256}` });
      const receivedBytes = await keep(parts, start, next, partBytes);
      if (receivedBytes === sizeBytes) return { upload: await complete(sha256, ends), existed: false };
      return { upload: stateOf(sha256, { ...upload, receivedBytes }), existed: false };
    },
  };
}

/** Stores what comes as parts; also the last, incomplete one, when the stream breaks. Gives the bytes that are there. */
async function keep(
  parts: UploadParts,
  { sha256, sizeBytes, offset }: UploadStart,
  next: () => Promise<Uint8Array | undefined>,
  partBytes: number,
): Promise<number> {
  let stored = offset;
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  const flush = async () => {
    if (heldBytes === 0) return;
    await parts.add(sha256, stored, held);
    stored += heldBytes;
    held = [];
    heldBytes = 0;
  };
  try {
    for (let piece = await next(); piece !== undefined; piece = await next()) {
      const room = sizeBytes - stored - heldBytes;
      held.push(piece.subarray(0, room));
      heldBytes += Math.min(room, piece.length);
      if (piece.length > room) throw uploadOverrun(sizeBytes);
      if (heldBytes >= partBytes) await flush();
    }
  } finally {
    await flush();
  }
  return stored;
}

/** The next piece; rejects when the signal is aborted or the sender keeps silent. */
function impatient(
  data: AsyncIterator<Uint8Array>,
  signal: AbortSignal,
  { clock, idleMs, name }: { clock: Clock; idleMs: number; name: string },
): () => Promise<Uint8Array | undefined> {
  return async () => {
    signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const unwatch = clock.schedule(idleMs, () => reject(uploadIdle(name, idleMs)));
    try {
      const { done, value } = await Promise.race([data.next(), promise]);
      return done ? undefined : value;
    } finally {
      unwatch();
      signal.removeEventListener('abort', onAbort);
    }
  };
}

/** The same bytes; throws at their end, before anything is published, when they are not the promised ones. */
async function* checked(body: AsyncIterable<Uint8Array>, sha256: string): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const piece of body) {
    hash.update(piece);
    yield piece;
  }
  const actual = hash.digest('hex');
  if (actual !== sha256) throw uploadChecksumMismatch(sha256, actual);
}
