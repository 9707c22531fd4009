import type { Clock } from '../../engine/filter.ts';

interface BulkheadOptions {
  /** Most permits out at once. */
  readonly limit: number;
  /** Most that wait. */
  readonly maxQueue: number;
  /**
   * FIFO: the oldest is served first, and a newcomer is refused when the queue is full. LIFO: the newest first, and the
   * oldest makes room: under overload those served are those that still have time.
   */
  readonly order: 'FIFO' | 'LIFO';
  readonly clock: Clock;
}

/** How a request for a permit stands; `refused` by a full queue, `expired` by its time, `dropped` by its owner. */
export type TicketState = 'waiting' | 'granted' | 'refused' | 'expired' | 'dropped' | 'released';

/** A request for a permit. */
export interface Ticket {
  readonly state: TicketState;
  /** Resolves when it no longer waits; undefined when it never did. */
  readonly settled: Promise<void> | undefined;
  /** Gives the permit back or stops waiting; only the first time counts. */
  release(nowMs?: number): void;
}

/** A number of permits and a bounded queue for them. */
export interface Bulkhead {
  /** Asks for a permit; it is waited for at most `waitMs`, 0 = not at all. */
  request(waitMs: number, nowMs?: number): Ticket;
  /** Takes effect at once and never waits: a lower limit is reached as permits come back, a higher one serves waiters. */
  setLimit(limit: number): void;
  /** In how many ms one who comes now would be served, by the time that permits are held. */
  drainMs(): number;
  readonly limit: number;
  readonly held: number;
  readonly waiting: number;
}

/** Weight of the newest permit in the mean time that permits are held. */
const newestWeight = 0.1;

/** Of everyone who was refused at once: there is nothing to give back. */
const refusedTicket: Ticket = { state: 'refused', settled: undefined, release: () => {} };

interface Waiter {
  settle(state: TicketState): void;
}

/** All permits are free at first. */
export function createBulkhead({ limit: initial, maxQueue, order, clock }: BulkheadOptions): Bulkhead {
  let limit = initial;
  let held = 0;
  // Insertion order is age.
  const queue = new Set<Waiter>();
  // LIFO only: the same by age, newest last, with some that no longer wait.
  let stack: Waiter[] = [];
  let meanHeldMs = 0;

  function enqueue(waiter: Waiter): void {
    queue.add(waiter);
    if (order === 'FIFO') return;
    if (stack.length >= 2 * maxQueue) stack = stack.filter((one) => queue.has(one));
    stack.push(waiter);
  }

  function next(): Waiter | undefined {
    if (order === 'FIFO') return queue.values().next().value;
    for (let newest = stack.pop(); newest !== undefined; newest = stack.pop()) if (queue.has(newest)) return newest;
    return undefined;
  }

  function giveBack(sinceMs: number, nowMs = clock.monotonic()): void {
    held--;
    const heldMs = nowMs - sinceMs;
    meanHeldMs = meanHeldMs === 0 ? heldMs : meanHeldMs + newestWeight * (heldMs - meanHeldMs);
    serve();
  }

  function serve(): void {
    while (held < limit) {
      const waiter = next();
      if (waiter === undefined) return;
      held++;
      waiter.settle('granted');
    }
  }

  /** A permit that was free: a class, because every call in progress holds one. */
  class Granted implements Ticket {
    readonly settled = undefined;
    readonly #sinceMs: number;
    #isReleased = false;

    constructor(nowMs: number) {
      this.#sinceMs = nowMs;
    }

    get state(): TicketState {
      return this.#isReleased ? 'released' : 'granted';
    }
    release(nowMs?: number): void {
      if (this.#isReleased) return;
      this.#isReleased = true;
      giveBack(this.#sinceMs, nowMs);
    }
  }

  function wait(waitMs: number): Ticket {
    const { promise, resolve } = Promise.withResolvers<void>();
    let state: TicketState = 'waiting';
    let since = 0;
    const waiter: Waiter = {
      settle: (to) => {
        state = to;
        since = clock.monotonic();
        queue.delete(waiter);
        cancelTimer();
        resolve();
      },
    };
    const cancelTimer = clock.schedule(waitMs, () => waiter.settle('expired'));
    enqueue(waiter);
    return {
      get state() {
        return state;
      },
      settled: promise,
      release: () => {
        if (state === 'waiting') waiter.settle('dropped');
        else if (state === 'granted') {
          state = 'released';
          giveBack(since);
        }
      },
    };
  }

  return {
    request: (waitMs, nowMs = clock.monotonic()) => {
      if (held < limit) {
        held++;
        return new Granted(nowMs);
      }
      if (waitMs <= 0 || maxQueue === 0) return refusedTicket;
      if (queue.size >= maxQueue) {
        if (order === 'FIFO') return refusedTicket;
        queue.values().next().value?.settle('refused');
      }
      return wait(waitMs);
    },
    setLimit: (to) => {
      limit = to;
      serve();
    },
    drainMs: () => (meanHeldMs / Math.max(1, limit)) * (queue.size + 1),
    get limit() {
      return limit;
    },
    get held() {
      return held;
    },
    get waiting() {
      return queue.size;
    },
  };
}
