import type { Clock } from '../../../server/core/clock.ts';
import type { Logger } from '../../../server/core/log.ts';

/** Notices closed versions of filters that something still holds: a timer, a listener, a global. */
export interface LeakWatch {
  /** The version was closed; `held` is its state, or what else goes when it goes. Looks at the others of the filter. */
  closed(id: string, held: object): void;
  /** Closed versions that are not collected yet, all filters together. */
  readonly uncollected: number;
}

/** A full collection of a server at work comes sooner; what is there after it is held. */
const graceMs = 30 * 60_000;
/** So many closed versions of one filter are no chance. */
const tooMany = 10;

interface Closed {
  readonly id: string;
  readonly atMs: number;
}

/** Tells once per filter and hour, with the number of versions. Bounded by what leaks: an entry goes with its version. */
export function createLeakWatch(clock: Clock, log: Logger): LeakWatch {
  const waiting = new Set<Closed>();
  const told = new Map<string, number>();
  const registry = new FinalizationRegistry<Closed>((entry) => void waiting.delete(entry));

  function look(id: string, now: number): void {
    let held = 0;
    for (const entry of waiting) if (entry.id === id && now - entry.atMs > graceMs) held++;
    if (held < tooMany || now - (told.get(id) ?? Number.NEGATIVE_INFINITY) < 2 * graceMs) return;
    told.set(id, now);
    log.warn('closed versions of a filter are not collected', { filter: id, versions: held });
  }

  return {
    closed: (id, held) => {
      const now = clock.monotonic();
      look(id, now);
      const entry = { id, atMs: now };
      waiting.add(entry);
      registry.register(held, entry);
    },
    get uncollected() {
      return waiting.size;
    },
  };
}
