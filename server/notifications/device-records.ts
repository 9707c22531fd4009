import type { Clock } from '../core/clock.ts';
import { Code } from '../core/codes.ts';
import { AppError, notFound } from '../core/errors.ts';
import type { RecordRow, RecordsStore } from '../stores/records/records-store.ts';
import { tooManyDevices } from './errors.ts';
import type { Cursor, DeviceHello, KnownDevice } from './notification.ts';

/** The devices of each profile with what they acknowledged; forgotten when unseen for 90 days. */
export interface DeviceRecords {
  /** Stores what the device says of itself; a new one gets `head` as its acknowledged place. TOO_MANY_DEVICES. */
  register(hello: DeviceHello, head: Cursor): Promise<KnownDevice>;
  /** Moves the acknowledged place forward, never back; gives what is stored then. DEVICE_NOT_FOUND. */
  acknowledge(profile: string, device: string, cursor: Cursor): Promise<Cursor>;
  /** Devices by id, after the given one. */
  list(profile: string, limit: number, after?: string): Promise<KnownDevice[]>;
}

/** Where devices are kept, and how many of a profile. */
export interface DeviceRecordsOptions {
  readonly records: RecordsStore;
  readonly clock: Clock;
  readonly maxDevicesPerProfile: number;
}

const forgetAfterMs = 90 * 86_400_000;

/** Concurrent changes of a device are all kept: each is made again where another was faster. */
export function createDeviceRecords({ records, clock, maxDevicesPerProfile }: DeviceRecordsOptions): DeviceRecords {
  const partitionOf = (profile: string) => `notifications/devices/${profile}`;

  /** Reads, changes and writes one device until nobody wrote in between. */
  async function change(
    profile: string,
    device: string,
    next: (known: KnownDevice | undefined) => KnownDevice | Promise<KnownDevice>,
  ): Promise<KnownDevice> {
    for (;;) {
      const row = await records.get(partitionOf(profile), device);
      const changed = await next(row === undefined ? undefined : parseDevice(row));
      try {
        await records.put(partitionOf(profile), device, encodeDevice(changed), {
          ttlMs: forgetAfterMs,
          ifVersion: row?.version ?? 'absent',
        });
        return changed;
      } catch (error) {
        if (!(error instanceof AppError && error.code === Code.ABORTED)) throw error;
      }
    }
  }

  async function checkRoom(profile: string): Promise<void> {
    const rows = await records.scan(partitionOf(profile), { limit: maxDevicesPerProfile });
    if (rows.length >= maxDevicesPerProfile) throw tooManyDevices(profile, maxDevicesPerProfile);
  }

  return {
    register: (hello, head) =>
      change(hello.profile, hello.device, async (known) => {
        if (known === undefined) await checkRoom(hello.profile);
        return { ...hello, acknowledged: known?.acknowledged ?? head, lastSeenMs: clock.now() };
      }),
    acknowledge: async (profile, device, cursor) => {
      const changed = await change(profile, device, (known) => {
        if (known === undefined) throw notFound('device', device);
        const { acknowledged } = known;
        const isBehind = acknowledged.epoch === cursor.epoch && acknowledged.offset >= cursor.offset;
        return { ...known, acknowledged: isBehind ? acknowledged : cursor, lastSeenMs: clock.now() };
      });
      return changed.acknowledged;
    },
    list: async (profile, limit, after) => {
      // The successor of a key in the store's order: the key with a zero character behind it.
      const from = after === undefined ? {} : { from: `${after}\u0000` };
      const rows = await records.scan(partitionOf(profile), { limit, ...from });
      return rows.map(parseDevice);
    },
  };
}

function encodeDevice(device: KnownDevice): Uint8Array {
  const { acknowledged } = device;
  return Buffer.from(
    JSON.stringify({ ...device, acknowledged: { ...acknowledged, offset: String(acknowledged.offset) } }),
  );
}

function parseDevice({ value }: RecordRow): KnownDevice {
  type Stored = Omit<KnownDevice, 'acknowledged'> & { acknowledged: { epoch: string; offset: string } };
  const stored = JSON.parse(Buffer.from(value).toString()) as Stored;
  const { epoch, offset } = stored.acknowledged;
  return { ...stored, acknowledged: { epoch, offset: BigInt(offset) } };
}
