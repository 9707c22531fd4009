import type { Clock } from '../../server/core/clock.ts';

/** Simulated time: events run in order of their time, and the clock stands where the event is. */
export interface EventQueue {
  readonly clock: Clock;
  readonly nowMs: number;
  at(ms: number, run: () => void): void;
  /** Runs all events up to this time. */
  runUntil(ms: number): void;
}

interface Event {
  readonly at: number;
  readonly serial: number;
  readonly run: () => void;
}

const isBefore = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.serial < b.serial);

/** A binary heap: a simulation has some hundred thousand events. */
export function createEventQueue(): EventQueue {
  const heap: Event[] = [];
  let nowMs = 0;
  let serial = 0;

  function push(event: Event): void {
    let at = heap.push(event) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || isBefore(parent, event)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = event;
  }

  function pop(): Event | undefined {
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const left = heap[child];
      const right = heap[child + 1];
      if (left === undefined) break;
      let least = left;
      if (right !== undefined && isBefore(right, left)) {
        least = right;
        child++;
      }
      if (isBefore(last, least)) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = last;
    return first;
  }

  const schedule = (ms: number, run: () => void) => push({ at: nowMs + Math.max(0, ms), serial: serial++, run });
  return {
    clock: {
      now: () => nowMs,
      monotonic: () => nowMs,
      sleep: (ms) => new Promise((resolve) => schedule(ms, resolve)),
      schedule: (ms, run) => {
        let isOff = false;
        schedule(ms, () => {
          if (!isOff) run();
        });
        return () => {
          isOff = true;
        };
      },
    },
    get nowMs() {
      return nowMs;
    },
    at: (ms, run) => push({ at: ms, serial: serial++, run }),
    runUntil: (ms) => {
      for (let next = heap[0]; next !== undefined && next.at <= ms; next = heap[0]) {
        pop();
        nowMs = next.at;
        next.run();
      }
      nowMs = ms;
    },
  };
}
