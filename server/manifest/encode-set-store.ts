import type { Clock } from '../core/clock.ts';
import { Code } from '../core/codes.ts';
import { AppError, invalidField, notFound } from '../core/errors.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import type { BatchOperation, RecordsStore } from '../stores/records/records-store.ts';
import { type EncodeSetFile, type EncodeSetRecord, parseEncodeSetRecord } from './encode-set-record.ts';
import { encodeSetIncomplete, encodeSetMalformed } from './errors.ts';
import { fromRow, isConflict, scanAll, toRow } from './json-rows.ts';
import type { TitleStore } from './title-store.ts';
import { verifyObjects } from './verify-objects.ts';

/** A registered encode set: the commit record without its files. */
export interface EncodeSet {
  /** Bare id of its title. */
  readonly titleId: string;
  readonly version: string;
  /** Key of its commit record. */
  readonly objectKey: string;
  /** `jobs/{job}` that made it; empty when unknown. */
  readonly job: string;
  readonly frameCount: number;
  /** A fraction, e.g. `24000/1001`. */
  readonly frameRate: string;
  readonly durationMs: number;
  readonly hlsObjectKey: string;
  readonly dashObjectKey: string;
  readonly fileCount: number;
  readonly totalBytes: number;
  /** Unix ms. */
  readonly createMs: number;
}

/** Encode sets and their files. Sets never change; a title plays one of them. */
export interface EncodeSetStore {
  /**
   * Registers the set of a commit record and makes it current, at once for all readers. A set that is known stays as
   * it is, and so does the current one. TITLE_NOT_FOUND, ENCODESET_INCOMPLETE, ENCODESET_MALFORMED, INVALID_FIELDS.
   */
  register(titleId: string, objectKey: string, job: string): Promise<{ encodeSet: EncodeSet; existed: boolean }>;
  /** ENCODESET_NOT_FOUND. */
  get(titleId: string, version: string): Promise<EncodeSet>;
  /** Newest first; `before` is the place given with the last one of the page before. */
  list(titleId: string, limit: number, before?: string): Promise<{ encodeSet: EncodeSet; place: string }[]>;
  /** Files by id, after the given one. */
  files(titleId: string, version: string, after?: string): AsyncGenerator<EncodeSetFile>;
}

/** Where sets are kept, and whom they make current. */
export interface EncodeSetStoreDeps {
  readonly records: RecordsStore;
  readonly objects: ObjectStore;
  readonly titles: TitleStore;
  readonly clock: Clock;
}

/** Rows of one batch, below the store's bound. */
const batchRows = 500;
const maxRecordBytes = 64 * 1024 * 1024;

const setsOf = (titleId: string) => `manifest/encode-sets/${titleId}`;
const setsByTimeOf = (titleId: string) => `manifest/encode-sets-by-time/${titleId}`;
const filesOf = (titleId: string, version: string) => `manifest/files/${titleId}/${version}`;

/** Reads commit records of at most 64 MiB. */
export function createEncodeSetStore({ records, objects, titles, clock }: EncodeSetStoreDeps): EncodeSetStore {
  async function find(titleId: string, version: string): Promise<EncodeSet | undefined> {
    const row = await records.get(setsOf(titleId), version);
    return row === undefined ? undefined : fromRow<EncodeSet>(row);
  }

  async function get(titleId: string, version: string): Promise<EncodeSet> {
    const found = await find(titleId, version);
    if (found === undefined) throw notFound('encodeset', `titles/${titleId}/encodeSets/${version}`);
    return found;
  }

  async function readRecord(titleId: string, objectKey: string): Promise<EncodeSetRecord> {
    const folder = new RegExp(`^titles/${titleId}/([a-z0-9-]{1,63})/encode-set\\.json$`).exec(objectKey);
    if (folder === null) {
      throw invalidField(
        'object_key',
        `must be titles/${titleId}/{version}/encode-set.json, got "${objectKey.slice(0, 200)}"`,
      );
    }
    const bytes = await objects.read(objectKey, { maxBytes: maxRecordBytes }).catch((error: unknown) => {
      if (error instanceof AppError && error.code === Code.NOT_FOUND) {
        throw encodeSetIncomplete(objectKey, 'its commit record is missing');
      }
      throw error;
    });
    const record = parseEncodeSetRecord(objectKey, bytes);
    if (record.title !== `titles/${titleId}` || record.version !== folder[1]) {
      throw encodeSetMalformed(objectKey, `it is of ${record.title} version ${record.version}`);
    }
    return record;
  }

  /** Files are invisible until their set is there, so they are written before it in steps. */
  async function putFiles(titleId: string, record: EncodeSetRecord): Promise<void> {
    for (let start = 0; start < record.files.length; start += batchRows) {
      const files = record.files.slice(start, start + batchRows);
      const partition = filesOf(titleId, record.version);
      await records.batch(files.map((file) => ({ kind: 'put', partition, key: file.id, value: toRow(file) })));
    }
  }

  /** Undefined when the title or the set was written in between. */
  async function tryPublish(encodeSet: EncodeSet): Promise<EncodeSet | undefined> {
    const { titleId, version } = encodeSet;
    const title = await titles.get(titleId);
    const operations: BatchOperation[] = [
      { kind: 'put', partition: setsOf(titleId), key: version, value: toRow(encodeSet), ifVersion: 'absent' },
      { kind: 'put', partition: setsByTimeOf(titleId), key: placeOf(encodeSet), value: toRow(version) },
      titles.toMakeCurrent(title, version, encodeSet.durationMs),
    ];
    try {
      await records.batch(operations);
      return encodeSet;
    } catch (error) {
      if (isConflict(error)) return undefined;
      throw error;
    }
  }

  const register: EncodeSetStore['register'] = async (titleId, objectKey, job) => {
    await titles.get(titleId);
    const record = await readRecord(titleId, objectKey);
    const known = await find(titleId, record.version);
    if (known !== undefined) return { encodeSet: known, existed: true };
    await verifyObjects(objects, objectKey, record);
    await putFiles(titleId, record);
    for (;;) {
      const published = await tryPublish(toEncodeSet(titleId, objectKey, job, record, clock.now()));
      if (published !== undefined) return { encodeSet: published, existed: false };
      const other = await find(titleId, record.version);
      if (other !== undefined) return { encodeSet: other, existed: true };
    }
  };

  return {
    register,
    get,
    list: async (titleId, limit, before) => {
      await titles.get(titleId);
      const range = before === undefined ? {} : { to: before };
      const rows = await records.scan(setsByTimeOf(titleId), { limit, reverse: true, ...range });
      return Promise.all(
        rows.map(async (row) => ({ encodeSet: await get(titleId, fromRow<string>(row)), place: row.key })),
      );
    },
    files: async function* (titleId, version, after) {
      for await (const row of scanAll(records, filesOf(titleId, version), after)) yield fromRow<EncodeSetFile>(row);
    },
  };
}

/** Sorts sets by time; fixed width until the year 5138. */
function placeOf({ createMs, version }: EncodeSet): string {
  return `${String(createMs).padStart(14, '0')}/${version}`;
}

function toEncodeSet(
  titleId: string,
  objectKey: string,
  job: string,
  record: EncodeSetRecord,
  createMs: number,
): EncodeSet {
  const { version, frameCount, frameRate, hlsObjectKey, dashObjectKey, files } = record;
  return {
    titleId,
    version,
    objectKey,
    job,
    frameCount,
    frameRate,
    durationMs: record.durationSeconds * 1000,
    hlsObjectKey,
    dashObjectKey,
    fileCount: files.length,
    totalBytes: files.reduce((sum, file) => sum + file.totalBytes, 0),
    createMs,
  };
}
