import { createRecentMap } from '../../core/recent-map.ts';
import type { BatchOperation, RecordsStore } from '../../stores/records/records-store.ts';
import type { RankingCounters } from '../counters.ts';
import { decodeJson, encodeJson } from '../data/json.ts';
import type { ProfileEvent } from './play-event.ts';

/** What is kept of a profile between training runs. */
export interface ProfileState {
  /** By time, oldest first; at most `maxEvents`. */
  readonly events: readonly ProfileEvent[];
  /** The list that was computed after the last event; undefined when no model served then. */
  readonly list: NearlineList | undefined;
}

/** A stored ranking: the nearline tier. */
export interface NearlineList {
  /** Bare model id. */
  readonly modelId: string;
  readonly publishVersion: number;
  readonly computedMs: number;
  /** Events and ratings it takes in. */
  readonly eventsApplied: number;
  /** Title ids and scores, best first. */
  readonly titles: readonly (readonly [id: string, score: number])[];
}

/** A profile as it was read, with the version that a write must meet. */
export interface StoredProfile {
  readonly state: ProfileState;
  /** Of the record; undefined when there is none yet. */
  readonly version: bigint | undefined;
}

/** Profiles in the records store, with the ones used last in memory for when the store is slow. */
export interface ProfileStore {
  /** The stored truth: what another process wrote is seen too. */
  read(profile: string): Promise<StoredProfile>;
  /** What this process saw last, at once; undefined when it was never read or was evicted. */
  recall(profile: string): ProfileState | undefined;
  /** Stores the state together with `also`, if nobody changed the profile since it was read; else RECORD_CONFLICT. */
  write(profile: string, state: ProfileState, read: StoredProfile, also: readonly BatchOperation[]): Promise<void>;
}

const partition = 'ranking/profiles';
const none: ProfileState = { events: [], list: undefined };

/** `maxInMemory` profiles are kept in memory, the least recently used go first. */
export function createProfileStore(
  records: RecordsStore,
  counters: RankingCounters,
  { maxInMemory = 5_000 } = {},
): ProfileStore {
  const memory = createRecentMap<StoredProfile>(maxInMemory, () => counters.add('profiles_evicted'));
  return {
    read: async (profile) => {
      const row = await records.get(partition, profile);
      if (row === undefined) return { state: none, version: undefined };
      const known = memory.peek(profile);
      const stored =
        known?.version === row.version ? known : { state: decodeJson<ProfileState>(row.value), version: row.version };
      memory.set(profile, stored);
      return stored;
    },
    recall: (profile) => memory.peek(profile)?.state,
    write: async (profile, state, read, also) => {
      const value = encodeJson(state);
      const put = {
        kind: 'put' as const,
        partition,
        key: profile,
        value,
        ifVersion: read.version ?? ('absent' as const),
      };
      await records.batch([put, ...also]);
      // The version is learnt at the next read, which then parses once.
      memory.set(profile, { state, version: undefined });
    },
  };
}
