/** State per key, made when a key is first seen. */
export interface KeyedTable<V> {
  /** The state of the key, which is now the one used last. */
  get(key: string): V;
  /** The state if there is one; does not count as a use. */
  peek(key: string): V | undefined;
  values(): IterableIterator<V>;
  readonly size: number;
  /** Keys that made room for others. */
  readonly evicted: number;
}

/** How a table makes states and which it gives up. */
export interface KeyedTableOptions<V> {
  /** States kept at once; at least 1. */
  readonly maxKeys: number;
  readonly create: (key: string) => V;
  /** False for states that are better kept, e.g. an open breaker; of many such the oldest goes nevertheless. */
  readonly isDisposable?: (value: V) => boolean;
  /** Hears of each state that makes room. */
  readonly onEvict?: (value: V) => void;
}

/** How many of the oldest keys are looked at for one that may go. */
const maxLooks = 16;

/** A bounded table: the key that was used longest ago makes room, disposable ones first. */
export function createKeyedTable<V extends object>(options: KeyedTableOptions<V>): KeyedTable<V> {
  const { maxKeys, create, isDisposable = () => true, onEvict } = options;
  // Insertion order is order of use: a used key is put at the end again.
  const entries = new Map<string, V>();
  let last: { readonly key: string; readonly value: V } | undefined;
  let evicted = 0;

  function makeRoom(): void {
    let looks = 0;
    let victim: string | undefined;
    for (const [key, value] of entries) {
      victim ??= key;
      if (isDisposable(value)) {
        victim = key;
        break;
      }
      if (++looks >= maxLooks) break;
    }
    const value = victim === undefined ? undefined : entries.get(victim);
    if (victim === undefined || value === undefined) return;
    entries.delete(victim);
    evicted++;
    onEvict?.(value);
  }

  return {
    get: (key) => {
      // Most calls use the key of the call before.
      if (last?.key === key) return last.value;
      let value = entries.get(key);
      if (value === undefined) {
        if (entries.size >= maxKeys) makeRoom();
        value = create(key);
      } else entries.delete(key);
      entries.set(key, value);
      last = { key, value };
      return value;
    },
    peek: (key) => entries.get(key),
    values: () => entries.values(),
    get size() {
      return entries.size;
    },
    get evicted() {
      return evicted;
    },
  };
}
