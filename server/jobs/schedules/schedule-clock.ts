import type { Clock } from '../../core/clock.ts';
import { createDueHeap } from './due-heap.ts';

interface ScheduleClockOptions {
  readonly clock: Clock;
  /** Deals with what is due of an id; gives when it is due next, undefined = never. Never rejects. */
  readonly onDue: (id: string) => Promise<number | undefined>;
  /** Ids dealt with at once. Default 16. */
  readonly parallel?: number;
  /** Told how late an id was begun with, in ms. */
  readonly onLag?: (lagMs: number) => void;
}

/** Calls back for each id when its time has come. */
export interface ScheduleClock {
  /** Sets or replaces when an id is due; undefined = never. */
  set(id: string, atMs: number | undefined): void;
  /** Ids that have a time. */
  readonly size: number;
  /** Entries held for them, for tests. */
  held(): number;
  start(): void;
  /** Waits for what is being dealt with. */
  close(): Promise<void>;
}

/** The wall clock is looked at this often at least, so that a jump of it is noticed, in ms. */
const maxSleepMs = 500;
const maxReplaced = 1_000;

/** Goes by the wall clock, which it looks at every half second at least. Work on one id is never done twice at once. */
export function createScheduleClock({
  clock,
  onDue,
  parallel = 16,
  onLag = () => {},
}: ScheduleClockOptions): ScheduleClock {
  let due = createDueHeap();
  /** What counts: entries of the heap that say otherwise were replaced. */
  const times = new Map<string, number>();
  const busy = new Map<string, Promise<void>>();
  let cancelTimer: () => void = () => {};
  let running = false;

  const set = (id: string, atMs: number | undefined) => {
    if (atMs === undefined) {
      times.delete(id);
      dropReplaced();
      return;
    }
    if (times.get(id) === atMs) return;
    times.set(id, atMs);
    due.add(id, atMs);
    dropReplaced();
    arm();
  };
  /** Entries that were replaced lie in the heap until their time: not more of them than of those that count. */
  const dropReplaced = () => {
    if (due.size <= 2 * times.size + maxReplaced) return;
    due = createDueHeap();
    for (const [id, atMs] of times) due.add(id, atMs);
  };
  const arm = () => {
    cancelTimer();
    if (!running || busy.size >= parallel) return;
    const next = due.peek();
    if (next === undefined) return;
    cancelTimer = clock.schedule(Math.min(maxSleepMs, Math.max(0, next.atMs - clock.now())), tick);
  };
  const tick = () => {
    for (let next = due.peek(); next !== undefined && busy.size < parallel; next = due.peek()) {
      if (times.get(next.id) !== next.atMs) {
        due.take();
        continue;
      }
      const lagMs = clock.now() - next.atMs;
      if (lagMs < 0) break;
      due.take();
      times.delete(next.id);
      onLag(lagMs);
      begin(next.id);
    }
    arm();
  };
  const begin = (id: string) => {
    const work = (busy.get(id) ?? Promise.resolve())
      .then(() => onDue(id))
      .then((atMs) => {
        if (busy.get(id) === work) busy.delete(id);
        // Set anew meanwhile: that stands.
        if (!times.has(id)) set(id, atMs);
        arm();
      });
    busy.set(id, work);
  };

  return {
    set,
    get size() {
      return times.size;
    },
    held: () => due.size,
    start: () => {
      running = true;
      arm();
    },
    close: async () => {
      running = false;
      cancelTimer();
      await Promise.all(busy.values());
    },
  };
}
