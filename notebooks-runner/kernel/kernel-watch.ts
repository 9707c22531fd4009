import type { Clock } from '../../server/core/clock.ts';
import { messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { folderUsage } from './folder-usage.ts';
import type { Kernel } from './kernel.ts';
import type { ProcessTree } from './process-tree.ts';

/** Why a running kernel must be ended. */
export type KernelTrip =
  | { readonly kind: 'memory'; readonly bytes: number; readonly maxBytes: number }
  | { readonly kind: 'disk'; readonly bytes: number; readonly maxBytes: number }
  | { readonly kind: 'unresponsive'; readonly silentMs: number };

interface KernelWatchOptions {
  readonly kernel: Kernel;
  readonly tree: ProcessTree;
  /** Folder with everything that the kernel may fill. */
  readonly dir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Resident memory of the kernel and its children, in bytes. */
  readonly maxMemoryBytes: number;
  /** Bytes on disk in `dir`; a file that is deleted but still open does not count. */
  readonly maxDiskBytes: number;
  /** How long a heartbeat may stay unanswered, in ms. */
  readonly heartbeatTimeoutMs: number;
  /** Called at most once. */
  onTrip(trip: KernelTrip): void;
}

/** Watches one kernel until stopped or tripped. */
export interface KernelWatch {
  /** Highest resident memory seen, in bytes; 0 where the system does not tell. */
  peakBytes(): number;
  stop(): void;
}

/** A run of a moment is over before it: looking would take as long as the run itself. */
const firstLookMs = 50;
const memoryIntervalMs = 250;
const diskIntervalMs = 500;
const maxHeartbeatIntervalMs = 5_000;
/** Files looked at per round: a kernel that makes more is over any bound. */
const maxFiles = 200_000;

/** Starts the memory, disk and heartbeat watch of a kernel. */
export function watchKernel(options: KernelWatchOptions): KernelWatch {
  const { kernel, tree, dir, clock, log, maxMemoryBytes, maxDiskBytes, heartbeatTimeoutMs } = options;
  const heartbeatIntervalMs = Math.min(maxHeartbeatIntervalMs, heartbeatTimeoutMs);
  const stop = new AbortController();
  let peak = 0;
  const trip = (how: KernelTrip) => {
    if (stop.signal.aborted) return;
    stop.abort();
    options.onTrip(how);
  };

  async function watchMemory(): Promise<void> {
    await clock.sleep(firstLookMs, stop.signal);
    while (!stop.signal.aborted) {
      const bytes = (await tree.sample())?.bytes;
      if (bytes === undefined) return;
      peak = Math.max(peak, bytes);
      if (bytes > maxMemoryBytes) trip({ kind: 'memory', bytes, maxBytes: maxMemoryBytes });
      await clock.sleep(memoryIntervalMs, stop.signal);
    }
  }

  async function watchDisk(): Promise<void> {
    await clock.sleep(firstLookMs, stop.signal);
    while (!stop.signal.aborted) {
      const startedMs = clock.monotonic();
      const { bytes, isWhole } = await folderUsage(dir, maxFiles);
      if (bytes > maxDiskBytes || !isWhole) trip({ kind: 'disk', bytes, maxBytes: maxDiskBytes });
      // Looking takes at most a tenth of the time.
      await clock.sleep(Math.max(diskIntervalMs, 9 * (clock.monotonic() - startedMs)), stop.signal);
    }
  }

  async function watchHeartbeat(): Promise<void> {
    const stopped = whenAborted(stop.signal);
    while (!stop.signal.aborted) {
      const cancel = clock.schedule(heartbeatTimeoutMs, () =>
        trip({ kind: 'unresponsive', silentMs: heartbeatTimeoutMs }),
      );
      try {
        await Promise.race([kernel.beat(), stopped]);
      } finally {
        cancel();
      }
      await clock.sleep(heartbeatIntervalMs, stop.signal);
    }
  }

  for (const watch of [watchMemory, watchDisk, watchHeartbeat]) {
    watch().catch((error: unknown) => {
      if (!stop.signal.aborted && !kernel.hasDied()) log.warn('kernel watch ended', { error: messageOf(error) });
    });
  }
  return { peakBytes: () => peak, stop: () => stop.abort() };
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
