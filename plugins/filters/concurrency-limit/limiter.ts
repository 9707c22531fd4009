import type { Clock, Random } from '../../engine/filter.ts';
import type { LimitAlgorithm } from './limit-algorithm.ts';
import type { SampleWindow } from './sample-window.ts';

interface LimiterOptions {
  readonly algorithm: LimitAlgorithm;
  readonly window: SampleWindow;
  readonly clock: Clock;
  readonly random: Random;
  /**
   * Shares of the limit, 0-1, that are guaranteed to partitions: they bind only while the limit is reached. Empty = all
   * calls are alike; otherwise a call of another partition has no guarantee.
   */
  readonly shares?: ReadonlyMap<string, number>;
}

/** One admitted call. */
export interface Permit {
  /** The call showed this latency, ms; it may be given before the call ends, as streams do. */
  sample(rttMs: number, nowMs?: number): void;
  /** The call ran out of time after this long, ms. Left out when that is less than an unloaded call takes. */
  drop(afterMs: number, nowMs?: number): void;
  /** Gives the place back; only the first time counts. */
  release(nowMs?: number): void;
}

/** Admits calls up to an adaptive limit. */
export interface Limiter {
  /** Undefined when there is no place. */
  acquire(partition: string, nowMs?: number): Permit | undefined;
  /** When a refused call may find a place, ms: the time in which those refused lately would be served. */
  drainMs(): number;
  readonly limit: number;
  readonly inFlight: number;
}

/** Half of what was refused is forgotten after this time. */
const refusedHalfLifeMs = 1000;
/** Weight of the newest call in the mean time that a place is held. */
const heldWeight = 0.05;

interface Refusals {
  note(): void;
  recent(): number;
}

function createRefusals(clock: Clock): Refusals {
  let count = 0;
  let atMs = clock.monotonic();
  const settle = () => {
    const now = clock.monotonic();
    count *= 0.5 ** ((now - atMs) / refusedHalfLifeMs);
    atMs = now;
  };
  return {
    note: () => {
      settle();
      count++;
    },
    recent: () => {
      settle();
      return count;
    },
  };
}

/** Feeds the algorithm with windows of calls, and admits as many as it allows. */
export function createLimiter({ algorithm, window, clock, random, shares = new Map() }: LimiterOptions): Limiter {
  const inFlightOf = new Map<string, number>([...shares.keys()].map((partition) => [partition, 0]));
  const refusals = createRefusals(clock);
  let inFlight = 0;
  /** Lowest mean of a window without drops; 0 = none yet. */
  let lowestMs = 0;
  let heldMs = 0;

  const isUnderShare = (partition: string) => {
    const share = shares.get(partition);
    if (share === undefined) return false;
    return (inFlightOf.get(partition) ?? 0) < Math.max(1, Math.ceil(algorithm.settledLimit * share));
  };
  const count = (partition: string, by: number) => {
    inFlight += by;
    const before = inFlightOf.get(partition);
    if (before !== undefined) inFlightOf.set(partition, before + by);
  };
  const feed = (rttMs: number, at: number, isDropped: boolean, nowMs: number) => {
    const found = window.add(nowMs, rttMs, at, isDropped);
    if (found === undefined) return;
    if (!found.isDropped) lowestMs = lowestMs === 0 ? found.rttMs : Math.min(lowestMs, found.rttMs);
    algorithm.update(found);
  };

  function giveBack(partition: string, held: number): void {
    count(partition, -1);
    heldMs = heldMs === 0 ? held : heldMs + heldWeight * (held - heldMs);
  }

  /** A class, because every call in progress holds one. */
  class Place implements Permit {
    readonly #partition: string;
    readonly #at: number;
    readonly #sinceMs: number;
    #isReleased = false;

    constructor(partition: string, nowMs: number) {
      count(partition, 1);
      this.#sinceMs = nowMs;
      this.#partition = partition;
      this.#at = inFlight;
    }
    sample(rttMs: number, nowMs = clock.monotonic()): void {
      feed(rttMs, this.#at, false, nowMs);
    }
    drop(afterMs: number, nowMs = clock.monotonic()): void {
      // A caller that allows less than a call takes says nothing about load: it must not be able to lower the limit.
      if (afterMs >= lowestMs) feed(afterMs, this.#at, true, nowMs);
    }
    release(nowMs = clock.monotonic()): void {
      if (this.#isReleased) return;
      this.#isReleased = true;
      giveBack(this.#partition, nowMs - this.#sinceMs);
    }
  }

  return {
    acquire: (partition, nowMs = clock.monotonic()) => {
      if (inFlight < algorithm.limit || isUnderShare(partition)) return new Place(partition, nowMs);
      refusals.note();
      return undefined;
    },
    // Scattered by ±50 %, so that those who wait do not come back at once.
    drainMs: () => (heldMs / algorithm.limit) * (refusals.recent() + 1) * (0.5 + random.next()),
    get limit() {
      return algorithm.limit;
    },
    get inFlight() {
      return inFlight;
    },
  };
}
