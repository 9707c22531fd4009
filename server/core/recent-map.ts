/** A map that keeps the entries used last. */
export interface RecentMap<V> {
  /** The value, which is now the one used last. */
  get(key: string): V | undefined;
  /** The value; what was used last stays. */
  peek(key: string): V | undefined;
  /** Sets the value, now used last; the one that was not used for longest goes when there are too many. */
  set(key: string, value: V): void;
}

/** Holds `most` entries; `onEvict` hears of each one that goes. */
export function createRecentMap<V>(most: number, onEvict: () => void): RecentMap<V> {
  const entries = new Map<string, V>();
  const set = (key: string, value: V) => {
    // Deleted first: a map keeps the order of insertion.
    entries.delete(key);
    entries.set(key, value);
    if (entries.size <= most) return;
    const oldest = entries.keys().next();
    if (!oldest.done) entries.delete(oldest.value);
    onEvict();
  };
  return {
    get: (key) => {
      const value = entries.get(key);
      if (value !== undefined) set(key, value);
      return value;
    },
    peek: (key) => entries.get(key),
    set,
  };
}
