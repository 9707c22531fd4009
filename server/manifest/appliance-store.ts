import type { Clock } from '../core/clock.ts';
import { notFound } from '../core/errors.ts';
import type { RecordRow, RecordsStore } from '../stores/records/records-store.ts';
import { type Appliance, checkAppliance, checkLoad, type Heartbeat, type Load } from './appliance.ts';
import { nextHeartbeat } from './appliance-health.ts';
import { heartbeatStale, tooManyAppliances } from './errors.ts';
import { fromRow, isConflict, keyAfter, scanAll, toRow } from './json-rows.ts';

/** An appliance with its last heartbeat. */
export interface WatchedAppliance {
  readonly appliance: Appliance;
  readonly heartbeat: Heartbeat | undefined;
}

/** Appliances with their heartbeats. */
export interface ApplianceStore {
  /** Creates or replaces one. INVALID_FIELDS, TOO_MANY_APPLIANCES. */
  put(appliance: Appliance): Promise<WatchedAppliance>;
  /** APPLIANCE_NOT_FOUND. */
  get(id: string): Promise<WatchedAppliance>;
  /** By id, after the given one. */
  list(limit: number, after?: string): Promise<WatchedAppliance[]>;
  /** Takes a sign of life; a repeat of the last one changes nothing. HEARTBEAT_STALE, APPLIANCE_NOT_FOUND, INVALID_FIELDS. */
  heartbeat(id: string, arrived: ArrivedHeartbeat): Promise<WatchedAppliance>;
  /** All of them, at most a second old. */
  fleet(): Promise<readonly WatchedAppliance[]>;
}

/** A sign of life as an appliance sends it. */
export interface ArrivedHeartbeat {
  /** Another one after each start of the appliance. */
  readonly bootId: string;
  /** Grows with every heartbeat of a boot. */
  readonly sequence: bigint;
  readonly load: Load;
}

/** Where appliances are kept, and how many. */
export interface ApplianceStoreDeps {
  readonly records: RecordsStore;
  readonly clock: Clock;
  readonly maxAppliances: number;
}

const appliancesPartition = 'manifest/appliances';
const heartbeatsPartition = 'manifest/heartbeats';
/** How long a read of the whole fleet is used again, in ms. Writes of this process show at once. */
const fleetMaxAgeMs = 1_000;

/** The fleet as it was read, with the place of each appliance in it. */
interface ReadFleet {
  readonly members: WatchedAppliance[];
  readonly places: ReadonlyMap<string, number>;
}

/** One read of the fleet serves all who ask within a second, unless an appliance is put meanwhile. */
export function createApplianceStore({ records, clock, maxAppliances }: ApplianceStoreDeps): ApplianceStore {
  let cached: { readonly reading: Promise<ReadFleet>; readonly at: number } | undefined;

  async function findHeartbeat(id: string): Promise<(RecordRow & { heartbeat: Heartbeat }) | undefined> {
    const row = await records.get(heartbeatsPartition, id);
    return row === undefined ? undefined : { ...row, heartbeat: parseHeartbeat(row) };
  }

  async function get(id: string): Promise<WatchedAppliance> {
    const [row, found] = await Promise.all([records.get(appliancesPartition, id), findHeartbeat(id)]);
    if (row === undefined) throw notFound('appliance', `appliances/${id}`);
    return { appliance: fromRow<Appliance>(row), heartbeat: found?.heartbeat };
  }

  async function checkRoom(id: string): Promise<void> {
    if ((await records.get(appliancesPartition, id)) !== undefined) return;
    const rows = await records.scan(appliancesPartition, { limit: maxAppliances });
    if (rows.length >= maxAppliances) throw tooManyAppliances(maxAppliances);
  }

  async function heartbeat(id: string, arrived: ArrivedHeartbeat): Promise<WatchedAppliance> {
    checkLoad(arrived.load);
    const { appliance } = await get(id);
    for (;;) {
      const row = await findHeartbeat(id);
      const last = row?.heartbeat;
      if (last !== undefined && isRepeat(`appliances/${id}`, last, arrived)) return { appliance, heartbeat: last };
      const next = nextHeartbeat(last, arrived, clock.now());
      try {
        await records.put(heartbeatsPartition, id, encodeHeartbeat(next), { ifVersion: row?.version ?? 'absent' });
        show(id, next);
        return { appliance, heartbeat: next };
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
    }
  }

  /** Not by reading anew: of 1,000 appliances there are 100 heartbeats a second. */
  function show(id: string, heartbeat: Heartbeat): void {
    cached?.reading.then(
      ({ members, places }) => {
        const place = places.get(id);
        const known = place === undefined ? undefined : members[place];
        if (place !== undefined && known !== undefined) members[place] = { appliance: known.appliance, heartbeat };
      },
      () => {}, // Told to whoever waits for the read.
    );
  }

  async function readFleet(): Promise<ReadFleet> {
    const heartbeats = new Map<string, Heartbeat>();
    for await (const row of scanAll(records, heartbeatsPartition)) heartbeats.set(row.key, parseHeartbeat(row));
    const members: WatchedAppliance[] = [];
    const places = new Map<string, number>();
    for await (const row of scanAll(records, appliancesPartition)) {
      places.set(row.key, members.length);
      members.push({ appliance: fromRow<Appliance>(row), heartbeat: heartbeats.get(row.key) });
    }
    return { members, places };
  }

  return {
    get,
    heartbeat,
    put: async (given) => {
      const appliance = checkAppliance(given);
      await checkRoom(appliance.id);
      await records.put(appliancesPartition, appliance.id, toRow(appliance));
      cached = undefined;
      return get(appliance.id);
    },
    list: async (limit, after) => {
      const range = after === undefined ? { limit } : { limit, from: keyAfter(after) };
      const rows = await records.scan(appliancesPartition, range);
      return Promise.all(
        rows.map(async (row) => ({
          appliance: fromRow<Appliance>(row),
          heartbeat: (await findHeartbeat(row.key))?.heartbeat,
        })),
      );
    },
    fleet: async () => {
      const now = clock.monotonic();
      if (cached === undefined || now - cached.at > fleetMaxAgeMs) {
        const reading = readFleet();
        const entry = { reading, at: now };
        cached = entry;
        // A failed read must not be given again.
        reading.catch(() => {
          if (cached === entry) cached = undefined;
        });
      }
      return (await cached.reading).members;
    },
  };
}

/** True for the same heartbeat again; throws HEARTBEAT_STALE for an older one. */
function isRepeat(name: string, last: Heartbeat, { bootId, sequence }: ArrivedHeartbeat): boolean {
  if (bootId === last.previousBootId) throw heartbeatStale(name, `boot "${bootId}" ended`);
  if (bootId !== last.bootId) return false;
  if (sequence < last.sequence) throw heartbeatStale(name, `sequence ${sequence} came after ${last.sequence}`);
  return sequence === last.sequence;
}

function encodeHeartbeat(heartbeat: Heartbeat): Uint8Array {
  return toRow({ ...heartbeat, sequence: String(heartbeat.sequence) });
}

function parseHeartbeat(row: RecordRow): Heartbeat {
  const stored = fromRow<Omit<Heartbeat, 'sequence'> & { sequence: string }>(row);
  return { ...stored, sequence: BigInt(stored.sequence) };
}
