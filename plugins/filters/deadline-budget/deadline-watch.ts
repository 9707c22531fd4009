import { type Clock, type Placed, PlaceList } from '../../engine/filter.ts';

/** What is watched until its time is up. */
export interface Watched extends Placed {
  /** Monotonic ms. */
  readonly dueMs: number;
  expire(): void;
}

/** Watches many deadlines with one timer: nearly all calls end long before theirs, and a timer each costs them. */
export interface DeadlineWatch {
  add(watched: Watched, nowMs: number): void;
  remove(watched: Watched): void;
  close(): void;
}

/** Not bounded: it holds one entry per call in progress. */
export function createDeadlineWatch(clock: Clock): DeadlineWatch {
  const all = new PlaceList<Watched>();
  let armedFor = Number.POSITIVE_INFINITY;
  let cancel = () => {};

  function arm(dueMs: number, nowMs: number): void {
    cancel();
    armedFor = dueMs;
    cancel = dueMs === Number.POSITIVE_INFINITY ? () => {} : clock.schedule(Math.max(0, dueMs - nowMs), sweep);
  }

  /** Expires what is due and arms for the next; what was removed meanwhile is not looked for, so it may come early. */
  function sweep(): void {
    const now = clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    const due: Watched[] = [];
    for (const watched of all.toArray()) {
      if (watched.dueMs <= now) due.push(watched);
      else next = Math.min(next, watched.dueMs);
    }
    for (const watched of due) all.remove(watched);
    arm(next, now);
    for (const watched of due) watched.expire();
  }

  return {
    add: (watched, nowMs) => {
      all.add(watched);
      if (watched.dueMs < armedFor) arm(watched.dueMs, nowMs);
    },
    remove: (watched) => all.remove(watched),
    close: () => {
      cancel();
      for (const watched of all.toArray()) all.remove(watched);
    },
  };
}
