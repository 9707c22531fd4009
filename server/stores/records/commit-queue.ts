import { metrics } from '@opentelemetry/api';
import { storeClosed, storeOverloaded } from '../store-errors.ts';

/** Writes waiting for a commit, at most; more are refused with STORE_OVERLOADED. */
const maxWaiting = 20_000;
const maxWaitingBytes = 64 * 1024 * 1024;
/** One transaction blocks the event loop, so it is kept to a few milliseconds. */
const maxGroupWrites = 512;
const maxGroupBytes = 4 * 1024 * 1024;

/** One write: `apply` runs inside the transaction; what it throws as AppError fails this write alone. */
export interface Write {
  readonly bytes: number;
  /** Several statements: undone together when one of them throws. */
  readonly isCompound: boolean;
  apply(): unknown;
}

/** What became of one write of a group. */
export type Outcome = { readonly value: unknown } | { readonly error: unknown };

/** Takes writes and has them committed in groups. */
export interface CommitQueue {
  /** Resolves with what `apply` gave once it is committed and durable. */
  add<T>(write: Write & { apply(): T }): Promise<T>;
  /** Refuses further writes and resolves when all accepted ones are done. */
  close(): Promise<void>;
}

/** What commits a group, and makes it durable. */
export interface Committer {
  /** Runs the writes in one transaction, synchronously; throws when the transaction as a whole failed. */
  commit(group: readonly Write[]): readonly Outcome[];
  /** Makes the transaction durable. */
  settle(): Promise<void>;
}

interface Waiting extends Write {
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit: writes that arrive in the same tick, or while the disk is busy with the group before, share one
 * transaction and one flush. Order of arrival is kept.
 */
export function createCommitQueue({ commit, settle }: Committer): CommitQueue {
  const refused = metrics.getMeter('showrunner.records').createCounter('records_writes_refused');
  const waiting: Waiting[] = [];
  let waitingBytes = 0;
  let running: Promise<void> | undefined;
  let isClosed = false;

  function takeGroup(): Waiting[] {
    let count = 0;
    let bytes = 0;
    for (const write of waiting) {
      if (count === maxGroupWrites || (count > 0 && bytes + write.bytes > maxGroupBytes)) break;
      bytes += write.bytes;
      count++;
    }
    waitingBytes -= bytes;
    return waiting.splice(0, count);
  }

  async function runGroup(group: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = commit(group);
      await settle();
      for (const [index, outcome] of outcomes.entries()) {
        if ('error' in outcome) group[index]?.reject(outcome.error);
        else group[index]?.resolve(outcome.value as never);
      }
    } catch (error) {
      for (const write of group) write.reject(error);
    }
  }

  async function run(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) await runGroup(takeGroup());
    running = undefined;
  }

  return {
    add: (write) => {
      if (isClosed) return Promise.reject(storeClosed('records'));
      if (waiting.length >= maxWaiting || waitingBytes + write.bytes > maxWaitingBytes) {
        refused.add(1);
        return Promise.reject(storeOverloaded('records', 'writes', waiting.length));
      }
      return new Promise((resolve, reject) => {
        waiting.push({ ...write, resolve: resolve as (value: never) => void, reject });
        waitingBytes += write.bytes;
        running ??= run();
      });
    },
    close: async () => {
      isClosed = true;
      await running;
    },
  };
}
