import { canonicalJson } from '../core/canonical-json.ts';
import type { Clock } from '../core/clock.ts';
import { notFound } from '../core/errors.ts';
import type { BatchOperation, RecordRow, RecordsStore } from '../stores/records/records-store.ts';
import { etagMismatch, titleExists } from './errors.ts';
import { fromRow, isConflict, keyAfter, toRow } from './json-rows.ts';
import { checkTitle, type Title, type TitleFields } from './title.ts';

/** Titles by id. */
export interface TitleStore {
  /** Gives the existing one when its content is the same; else TITLE_EXISTS. */
  create(id: string, fields: TitleFields): Promise<Title>;
  /** TITLE_NOT_FOUND. */
  get(id: string): Promise<Title>;
  /** By id, after the given one. */
  list(limit: number, after?: string): Promise<Title[]>;
  /** Changes the given fields. With an etag other than the stored one: ETAG_MISMATCH. TITLE_NOT_FOUND. */
  update(id: string, change: Partial<TitleFields>, etag: string): Promise<Title>;
  /** The write that makes a version current, for a batch; fails with RECORD_CONFLICT when the title has changed. */
  toMakeCurrent(title: Title, version: string, durationMs: number): BatchOperation;
}

const partition = 'manifest/titles';

type StoredTitle = Omit<Title, 'id' | 'etag'>;

/** An etag is the version of the title's record. */
export function createTitleStore({ records, clock }: { records: RecordsStore; clock: Clock }): TitleStore {
  async function get(id: string): Promise<Title> {
    const row = await records.get(partition, id);
    if (row === undefined) throw notFound('title', `titles/${id}`);
    return toTitle(row);
  }

  async function update(id: string, change: Partial<TitleFields>, etag: string): Promise<Title> {
    for (;;) {
      const title = await get(id);
      if (etag !== '' && etag !== title.etag) throw etagMismatch(`titles/${id}`);
      const { displayName, genres, regions, launchMs } = { ...title, ...change };
      const checked = checkTitle({ displayName, genres, regions, launchMs });
      const next = { ...title, ...checked, updateMs: clock.now() };
      try {
        const version = await records.put(partition, id, encode(next), { ifVersion: BigInt(title.etag) });
        return { ...next, etag: String(version) };
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
    }
  }

  return {
    get,
    update,
    create: async (id, fields) => {
      const checked = checkTitle(fields);
      const now = clock.now();
      const title = { ...checked, currentVersion: '', createMs: now, updateMs: now };
      try {
        const version = await records.put(partition, id, toRow(title), { ifVersion: 'absent' });
        return { ...title, id, etag: String(version) };
      } catch (error) {
        if (!isConflict(error)) throw error;
        const existing = await get(id);
        if (canonicalJson(fieldsOf(existing)) !== canonicalJson(fieldsOf(checked))) throw titleExists(`titles/${id}`);
        return existing;
      }
    },
    list: async (limit, after) => {
      const rows = await records.scan(partition, after === undefined ? { limit } : { limit, from: keyAfter(after) });
      return rows.map(toTitle);
    },
    toMakeCurrent: (title, currentVersion, durationMs) => ({
      kind: 'put',
      partition,
      key: title.id,
      value: encode({ ...title, currentVersion, durationMs, updateMs: clock.now() }),
      ifVersion: BigInt(title.etag),
    }),
  };
}

function fieldsOf({ displayName, genres, regions, launchMs }: TitleFields): TitleFields {
  return { displayName, genres, regions, launchMs };
}

/** Id and etag are the row's key and version. */
function encode({ id: _id, etag: _etag, ...stored }: Title): Uint8Array {
  return toRow(stored satisfies StoredTitle);
}

function toTitle(row: RecordRow): Title {
  return { ...fromRow<StoredTitle>(row), id: row.key, etag: String(row.version) };
}
