import type { EventLog } from '../stores/events/event-log.ts';
import type { RecordsStore } from '../stores/records/records-store.ts';

const partition = 'events/rule-cursors';

/** The stored place of one rule: everything up to it was handled. */
export interface RuleCursor {
  /** Where to go on; a rule that was never seen starts at the newest event. */
  load(): Promise<bigint>;
  save(offset: bigint): Promise<void>;
}

interface RuleCursorDeps {
  readonly rule: string;
  readonly logName: string;
  readonly log: EventLog;
  readonly records: RecordsStore;
}

/** Kept by the rule's name; after a loss of the log the rule begins at the new log's first event. */
export function createRuleCursor({ rule, logName, log, records }: RuleCursorDeps): RuleCursor {
  let epoch = '';
  const save = async (offset: bigint) => {
    await records.put(partition, rule, Buffer.from(JSON.stringify({ epoch, offset: String(offset) })));
  };
  return {
    load: async () => {
      const [row, position] = await Promise.all([records.get(partition, rule), log.position(logName)]);
      epoch = position.epoch;
      if (row === undefined) {
        // Stored at once: a crash before the first event must not move the start.
        await save(position.newest);
        return position.newest;
      }
      const stored = JSON.parse(Buffer.from(row.value).toString()) as { epoch: string; offset: string };
      // Another epoch is another history: all that it holds is new to the rule.
      return stored.epoch === epoch ? BigInt(stored.offset) : 0n;
    },
    save,
  };
}
