import type { Clock } from '../core/clock.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';

/** What was announced of an upload that is not complete. */
export interface UploadRecord {
  readonly sizeBytes: number;
  readonly createMs: number;
  /** When its newest stream began. */
  readonly touchedMs: number;
}

/** An unfinished upload as far as it came. */
export interface FoundUpload {
  readonly record: UploadRecord;
  /** Bytes from the start without a hole. */
  readonly receivedBytes: number;
  /** Keys of the parts in order. */
  readonly parts: readonly string[];
}

/** Unfinished uploads in the object store: a record and parts, each durable by itself. */
export interface UploadParts {
  /** Undefined when nothing of it is stored. */
  find(sha256: string): Promise<FoundUpload | undefined>;
  save(sha256: string, record: UploadRecord): Promise<void>;
  /** Stores pieces as one part that begins at `offset`. */
  add(sha256: string, offset: number, pieces: readonly Uint8Array[]): Promise<void>;
  /** Content of all parts in order. */
  read(found: FoundUpload, signal: AbortSignal): AsyncGenerator<Uint8Array>;
  remove(sha256: string): Promise<void>;
  /** Unfinished uploads, those that nobody went on with before `beforeMs` marked. */
  list(beforeMs: number): Promise<readonly { sha256: string; isOld: boolean }[]>;
}

const recordsFolder = 'transcode/uploads/records';
const partsFolder = (sha256: string) => `transcode/uploads/parts/${sha256}`;
const recordKey = (sha256: string) => `${recordsFolder}/${sha256}.json`;
const pageSize = 1_000;

/** Kept below `transcode/uploads/`. */
export function createUploadParts(objects: ObjectStore): UploadParts {
  async function listParts(sha256: string) {
    const parts: string[] = [];
    let receivedBytes = 0;
    let after = '';
    for (;;) {
      const page = await objects.list(`${partsFolder(sha256)}/`, { after, limit: pageSize });
      for (const { key, bytes } of page) {
        after = key;
        const offset = Number(key.slice(key.lastIndexOf('/') + 1));
        // Streams on two servers cut the same bytes differently: what a longer part holds already is passed over.
        if (offset < receivedBytes) continue;
        // A part behind a hole is the rest of a stream that another one overtook.
        if (offset > receivedBytes) return { parts, receivedBytes };
        parts.push(key);
        receivedBytes += bytes;
      }
      if (page.length < pageSize) return { parts, receivedBytes };
    }
  }

  const readRecord = async (sha256: string) => {
    const key = recordKey(sha256);
    if ((await objects.stat(key)) === undefined) return undefined;
    return JSON.parse(Buffer.from(await objects.read(key)).toString()) as UploadRecord;
  };

  return {
    find: async (sha256) => {
      const record = await readRecord(sha256);
      return record && { record, ...(await listParts(sha256)) };
    },
    save: async (sha256, record) => {
      const body = Buffer.from(JSON.stringify(record));
      await objects.put(recordKey(sha256), body, { contentType: 'application/json' });
    },
    add: async (sha256, offset, pieces) => {
      const key = `${partsFolder(sha256)}/${String(offset).padStart(15, '0')}`;
      await objects.put(key, iterate(pieces));
    },
    read: async function* ({ parts }, signal) {
      for (const key of parts) yield* (await objects.open(key, { signal })).body;
    },
    remove: async (sha256) => {
      // The record last: what a crash leaves of an upload is then found again, and removed after its time.
      for (;;) {
        const page = await objects.list(`${partsFolder(sha256)}/`, { limit: pageSize });
        for (const { key } of page) await objects.delete(key);
        if (page.length < pageSize) break;
      }
      await objects.delete(recordKey(sha256));
    },
    list: async (beforeMs) => {
      const page = await objects.list(`${recordsFolder}/`, { limit: pageSize });
      return page.map(({ key, modifiedMs }) => ({
        sha256: key.slice(recordsFolder.length + 1, -'.json'.length),
        isOld: modifiedMs < beforeMs,
      }));
    },
  };
}

async function* iterate(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

/** A record that was just gone on with. */
export function touched(record: UploadRecord, clock: Clock): UploadRecord {
  return { ...record, touchedMs: clock.now() };
}
