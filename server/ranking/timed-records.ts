import { AppError } from '../core/errors.ts';
import type { RecordsStore } from '../stores/records/records-store.ts';
import { decodeJson, encodeJson } from './data/json.ts';

/** Immutable records found by id and listed newest first. */
export interface TimedRecords<T> {
  find(id: string): Promise<T | undefined>;
  /** Stores the record unless one of that id is there; true when it was stored. */
  add(id: string, createdMs: number, value: T): Promise<boolean>;
  /** `limit` records older than the cursor, newest first; `next` is the cursor of the page after, if there is one. */
  list(limit: number, cursor?: string): Promise<{ items: T[]; next: string | undefined }>;
}

/** Records in the partitions `<name>` and `<name>/by-time`. */
export function createTimedRecords<T extends object>(records: RecordsStore, name: string): TimedRecords<T> {
  const byTime = `${name}/by-time`;
  return {
    find: async (id) => {
      const row = await records.get(name, id);
      return row && decodeJson<T>(row.value);
    },
    add: async (id, createdMs, value) => {
      const body = encodeJson(value);
      try {
        await records.batch([
          { kind: 'put', partition: name, key: id, value: body, ifVersion: 'absent' },
          { kind: 'put', partition: byTime, key: `${String(createdMs).padStart(16, '0')}-${id}`, value: body },
        ]);
        return true;
      } catch (error) {
        if (isConflict(error)) return false;
        throw error;
      }
    },
    list: async (limit, cursor) => {
      const range = { limit: limit + 1, reverse: true, ...(cursor === undefined ? {} : { to: cursor }) };
      const rows = await records.scan(byTime, range);
      const page = rows.slice(0, limit);
      return {
        items: page.map((row) => decodeJson<T>(row.value)),
        next: rows.length > limit ? page.at(-1)?.key : undefined,
      };
    },
  };
}

/** True for a conditional write whose condition did not hold. */
export function isConflict(error: unknown): boolean {
  return error instanceof AppError && error.reason === 'RECORD_CONFLICT';
}
