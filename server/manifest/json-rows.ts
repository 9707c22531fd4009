import { Code } from '../core/codes.ts';
import { AppError } from '../core/errors.ts';
import { nextTurn } from '../core/next-turn.ts';
import type { RecordRow, RecordsStore } from '../stores/records/records-store.ts';

/** A value as the bytes of a record. */
export function toRow(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** The value of a record that this area wrote, so its form is trusted. */
export function fromRow<T>(row: Pick<RecordRow, 'value'>): T {
  return JSON.parse(Buffer.from(row.value).toString()) as T;
}

/** The least key after `key` in the store's order. */
export function keyAfter(key: string): string {
  return `${key}\u0000`;
}

/** True for a conditional write that lost against another one. */
export function isConflict(error: unknown): boolean {
  return error instanceof AppError && error.code === Code.ABORTED && error.reason === 'RECORD_CONFLICT';
}

/** Every row of a partition in key order, read in bounded steps. */
export async function* scanAll(records: RecordsStore, partition: string, after?: string): AsyncGenerator<RecordRow> {
  const limit = 500;
  let from = after === undefined ? undefined : keyAfter(after);
  for (;;) {
    const rows = await records.scan(partition, from === undefined ? { limit } : { limit, from });
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < limit) return;
    from = keyAfter(last.key);
    await nextTurn();
  }
}
