import type { DeviceHello, GoAwayReason, StoredNotification } from './notification.ts';

/** An open Subscribe stream as publishers and the registry see it. */
export interface DeviceStream {
  readonly hello: DeviceHello;
  /** True once the notification was written to the stream, false once it is clear that it will not be soon. */
  whenWritten(notification: StoredNotification, signal: AbortSignal): Promise<boolean>;
  /** Lets the stream end with a go-away after the frame it is writing. */
  end(reason: GoAwayReason, retryAfterMs: number): void;
}

/** Devices with an open stream in this process. */
export interface OnlineDevices {
  /** Registers a stream; an older one of the same profile and device ends with REPLACED. */
  add(stream: DeviceStream): void;
  /** Compare and delete: a stream that was replaced removes nothing. */
  remove(stream: DeviceStream): void;
  find(profile: string, device: string): DeviceStream | undefined;
  /** Streams of one profile. */
  of(profile: string): readonly DeviceStream[];
  all(): readonly DeviceStream[];
  readonly size: number;
}

/** Nobody is online yet; who opens streams bounds their number. */
export function createOnlineDevices(): OnlineDevices {
  const profiles = new Map<string, Map<string, DeviceStream>>();
  let size = 0;
  return {
    add: (stream) => {
      const { profile, device } = stream.hello;
      const devices = profiles.get(profile) ?? new Map<string, DeviceStream>();
      profiles.set(profile, devices);
      const older = devices.get(device);
      devices.set(device, stream);
      if (older === undefined) size++;
      else older.end('REPLACED', 0);
    },
    remove: (stream) => {
      const { profile, device } = stream.hello;
      const devices = profiles.get(profile);
      if (devices?.get(device) !== stream) return;
      devices.delete(device);
      size--;
      if (devices.size === 0) profiles.delete(profile);
    },
    find: (profile, device) => profiles.get(profile)?.get(device),
    of: (profile) => [...(profiles.get(profile)?.values() ?? [])],
    all: () => [...profiles.values()].flatMap((devices) => [...devices.values()]),
    get size() {
      return size;
    },
  };
}
