/** Where filters publish how busy a resource is, and others read it. Values are shares: 1 = full. */
export interface LoadSignals {
  /** Publishes a reading under a name; the returned function withdraws it. */
  publish(name: string, read: () => number): () => void;
  /** The highest reading under the name; 0 when nobody publishes. */
  read(name: string): number;
}

/**
 * Under which concurrency limiters publish the share of their limit that is in use. Names stand here, so that readers
 * and writers meet.
 */
export const limiterUse = 'limiter_use';

/** Signals apart from those of the process, for a test of their own; filters use `loadSignals`. */
export function createLoadSignals(): LoadSignals {
  const readers = new Map<string, Set<() => number>>();
  return {
    publish: (name, read) => {
      const same = readers.get(name) ?? new Set();
      readers.set(name, same.add(read));
      return () => void same.delete(read);
    },
    read: (name) => {
      let highest = 0;
      const same = readers.get(name);
      if (same !== undefined) for (const read of same) highest = Math.max(highest, read());
      return highest;
    },
  };
}

/**
 * The signals of this process: load is a matter of the process, whatever filter set measures it. While a set is
 * replaced both versions publish, and the higher reading counts.
 */
export const loadSignals: LoadSignals = createLoadSignals();
