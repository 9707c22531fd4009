import type { Clock } from '../../../server/core/clock.ts';
import type { Logger } from '../../../server/core/log.ts';
import { filterLoadFailed } from '../filter-errors.ts';
import type { FilterFolder } from '../load/read-folders.ts';
import { withDeadline } from '../with-deadline.ts';
import type { DeclaredFilter } from './isolation-protocol.ts';
import { type FilterThread, startFilterThread, type WorkerLimits } from './worker-host.ts';

/**
 * Imports changed filters in a thread before a server that has calls does: a loop, a full heap or `process.exit` at the
 * top level of a file costs that thread.
 */
export interface ImportProbe {
  /** What the filter declares. Throws what its import throws, also when it ended the thread or took too long. */
  declare(source: FilterFolder, isIsolated: boolean): Promise<DeclaredFilter>;
  close(): Promise<void>;
}

interface ImportProbeOptions {
  readonly limits: WorkerLimits;
  readonly clock: Clock;
  readonly log: Logger;
  /** Longest import, in ms. */
  readonly openTimeoutMs: number;
  /** The operator isolates filters: no file may see the environment before it is known whether it is of those. */
  readonly hidesEnv: boolean;
}

/** Packages that a filter imports are more than its own code. */
const minHeapMb = 256;
/** The thread stays for the next save. */
const idleMs = 10_000;

/** Makes its thread when it is first needed. Its steps must not overlap: the caller queues them. */
export function createImportProbe(options: ImportProbeOptions): ImportProbe {
  const { limits, clock, log, openTimeoutMs, hidesEnv } = options;
  let thread: FilterThread | undefined;
  let cancelIdle = () => {};

  function start(): FilterThread {
    const heap = { ...limits, maxHeapMb: Math.max(minHeapMb, limits.maxHeapMb) };
    // What a file reads there when the server imports it must be there now, too.
    const { NODE_OPTIONS: _, ...env } = process.env;
    const own = { name: 'in its import', limits: heap, env: hidesEnv ? {} : env, onEnd: () => {} };
    return startFilterThread({ ...own, clock, log });
  }

  async function end(why: string): Promise<void> {
    cancelIdle();
    const ended = thread;
    thread = undefined;
    await ended?.end(why);
  }

  async function declare(source: FilterFolder, isIsolated: boolean): Promise<DeclaredFilter> {
    cancelIdle();
    const isUsed = thread?.hasEnded === false;
    const current = isUsed && thread !== undefined ? thread : start();
    thread = current;
    const expired = () => filterLoadFailed(source.file, `import took over ${openTimeoutMs} ms`);
    try {
      const declared = await withDeadline({ clock, timeoutMs: openTimeoutMs, expired }, () =>
        current.request({ kind: 'declare', source, isIsolated }),
      );
      cancelIdle = clock.schedule(idleMs, () => void end('nothing is left to import'));
      return declared as DeclaredFilter;
    } catch (error) {
      // Before it is ended here: what an earlier filter left behind, e.g. a timer, may have been what ended it.
      const isOthersFault = isUsed && current.hasEnded;
      await end('an import failed');
      if (isOthersFault) return declare(source, isIsolated);
      throw error;
    }
  }

  return { declare, close: () => end('the server closes') };
}
