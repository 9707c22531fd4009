import type { BatchOperation, RecordsStore } from '../stores/records/records-store.ts';
import { scanAll } from './json-rows.ts';

/** An encode set by its bare ids. */
export interface EncodeSetId {
  readonly titleId: string;
  readonly version: string;
}

/** Which appliance holds which encode sets, complete and verified. */
export interface Holdings {
  /** Adds and drops, all or nothing; at most 250 together. Gives how many sets it holds then. */
  report(applianceId: string, held: readonly EncodeSetId[], dropped: readonly EncodeSetId[]): Promise<number>;
  /** Bare ids of the appliances that hold the set. */
  holders(encodeSet: EncodeSetId): Promise<ReadonlySet<string>>;
}

const holdersOf = ({ titleId, version }: EncodeSetId) => `manifest/holders/${titleId}/${version}`;
const heldBy = (applianceId: string) => `manifest/held-by/${applianceId}`;
const nothing = new Uint8Array();

/** Kept both ways: by set for playback, by appliance for its count. */
export function createHoldings(records: RecordsStore): Holdings {
  return {
    report: async (applianceId, held, dropped) => {
      await records.batch([
        ...held.flatMap((set): BatchOperation[] => [
          { kind: 'put', partition: holdersOf(set), key: applianceId, value: nothing },
          { kind: 'put', partition: heldBy(applianceId), key: keyOf(set), value: nothing },
        ]),
        ...dropped.flatMap((set): BatchOperation[] => [
          { kind: 'delete', partition: holdersOf(set), key: applianceId },
          { kind: 'delete', partition: heldBy(applianceId), key: keyOf(set) },
        ]),
      ]);
      let count = 0;
      for await (const _ of scanAll(records, heldBy(applianceId))) count++;
      return count;
    },
    holders: async (encodeSet) => {
      const ids = new Set<string>();
      for await (const { key } of scanAll(records, holdersOf(encodeSet))) ids.add(key);
      return ids;
    },
  };
}

function keyOf({ titleId, version }: EncodeSetId): string {
  return `${titleId}/${version}`;
}
