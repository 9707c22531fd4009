import type { Clock, Random } from '../../engine/filter.ts';
import { createCountWindow, createTimeWindow, type OutcomeTotals, type OutcomeWindow } from './outcome-window.ts';
import { createProbeLeases } from './probe-leases.ts';

/** The first three are of a breaker that runs by itself, the others are held. */
export type BreakerState = 'CLOSED' | 'OPEN' | 'HALF_OPEN' | 'FORCED_OPEN' | 'DISABLED' | 'METRICS_ONLY';

/** AUTO runs by itself; the others hold a state whatever the outcomes are. */
export type BreakerMode = 'AUTO' | 'FORCED_OPEN' | 'DISABLED' | 'METRICS_ONLY';

/** When a breaker opens, and how it finds out that it may close. */
export interface BreakerOptions {
  readonly mode: BreakerMode;
  /** COUNT: the last `windowSize` calls. TIME: the calls of the last `windowSize` seconds. */
  readonly window: 'COUNT' | 'TIME';
  readonly windowSize: number;
  /** No verdict below so many calls. */
  readonly minCalls: number;
  /** Percent of failed and of slow calls from which it opens. */
  readonly failureRate: number;
  readonly slowRate: number;
  /** How long it stays open, ms; each opening without a closing between doubles it, up to `maxOpenMs`. */
  readonly openMs: number;
  readonly maxOpenMs: number;
  /** Calls that are let through to find out. */
  readonly probes: number;
  /** How long a probe may take, ms; then it counts as failed and its place is free. */
  readonly probeLeaseMs: number;
  /** True: half-open by the clock; false: with the next call after `openMs`. */
  readonly autoHalfOpen: boolean;
  readonly clock: Clock;
  readonly random: Random;
  /** Hears of each change. */
  readonly onChange?: (from: BreakerState, to: BreakerState) => void;
  /** Hears of each probe that expired. */
  readonly onExpired?: () => void;
  /** Hears when METRICS_ONLY would have opened, once until the rates are good again. */
  readonly onWouldOpen?: () => void;
}

/** A call that was let through. */
export interface BreakerPass {
  /** The outcome; only the first of `record` and `drop` counts. */
  record(isFailure: boolean, isSlow: boolean, nowMs?: number): void;
  /** The call ended without telling anything. */
  drop(): void;
  /** The call, a stream, gave a response: a probe is well then, for the end of a stream may be beyond every lease. */
  heard(): void;
}

/** One circuit breaker. */
export interface Breaker {
  /** Undefined when the call is to be refused. */
  acquire(): BreakerPass | undefined;
  readonly state: BreakerState;
  /** Lets everything through and counts nothing, for good. */
  readonly isOff: boolean;
  /** Ms until it lets calls through again; 0 when it does, Infinity when it is forced open. */
  waitMs(): number;
  /** What the window holds now. */
  totals(): OutcomeTotals;
  /** Outcomes that came when they no longer mattered. */
  readonly lateOutcomes: number;
  close(): void;
}

function heldState(mode: BreakerMode): BreakerState {
  return mode === 'AUTO' ? 'CLOSED' : mode;
}

/**
 * A circuit breaker. CLOSED: opens when the rate of failed or slow calls reaches its threshold. OPEN: refuses for a
 * time. HALF_OPEN: lets a few probes through; their verdict closes or opens it. A probe is a lease that expires, so a
 * probe whose end is never heard of cannot hold the breaker half-open. An outcome counts only in the period in which
 * its call was let through: what ends late is noted and moves nothing.
 */
export function createBreaker(options: BreakerOptions): Breaker {
  const { clock, random, mode } = options;
  const window: OutcomeWindow =
    options.window === 'COUNT' ? createCountWindow(options.windowSize) : createTimeWindow(options.windowSize);
  const leases = createProbeLeases(options.probes, options.probeLeaseMs);
  let state = heldState(mode);
  /** Counts changes of state: a pass of an earlier period is late. */
  let period = 0;
  let openings = 0;
  let opensUntilMs = 0;
  let lateOutcomes = 0;
  let cancelTimer = () => {};
  let probed = { calls: 0, failures: 0, slow: 0 };
  let wasOver = false;
  const minCalls = options.window === 'COUNT' ? Math.min(options.minCalls, options.windowSize) : options.minCalls;

  function change(to: BreakerState): void {
    const from = state;
    state = to;
    period++;
    cancelTimer();
    window.clear(clock.monotonic());
    leases.clear();
    probed = { calls: 0, failures: 0, slow: 0 };
    if (to === 'OPEN') planReopening();
    if (to === 'CLOSED') openings = 0;
    options.onChange?.(from, to);
  }

  function planReopening(): void {
    const waitMs = Math.min(options.openMs * 2 ** Math.min(openings++, 30), options.maxOpenMs);
    // Up to a tenth more by chance, so that servers that saw the same fault do not probe together.
    opensUntilMs = clock.monotonic() + waitMs * (1 + 0.1 * random.next());
    if (!options.autoHalfOpen) return;
    cancelTimer = clock.schedule(opensUntilMs - clock.monotonic(), () => change('HALF_OPEN'));
  }

  /** What time alone changes: the end of OPEN, and probes that took too long. */
  function settle(): void {
    if (state !== 'OPEN' && state !== 'HALF_OPEN') return;
    const now = clock.monotonic();
    if (state === 'OPEN' && now >= opensUntilMs) change('HALF_OPEN');
    for (let expired = state === 'HALF_OPEN' ? leases.expire(now) : 0; expired > 0; expired--) {
      options.onExpired?.();
      if (state === 'HALF_OPEN') judge(true, false);
    }
  }

  const isBad = ({ calls, failures, slow }: OutcomeTotals) =>
    failures * 100 >= options.failureRate * calls || slow * 100 >= options.slowRate * calls;

  /** The verdict of the probes; counted apart from the window, whose seconds might pass between slow probes. */
  function judgeProbe(isFailure: boolean, isSlow: boolean): void {
    probed.calls++;
    if (isFailure) probed.failures++;
    if (isSlow) probed.slow++;
    if (probed.calls < Math.min(options.minCalls, options.probes)) return;
    change(isBad(probed) ? 'OPEN' : 'CLOSED');
  }

  function judge(isFailure: boolean, isSlow: boolean, now = clock.monotonic()): void {
    window.add(isFailure, isSlow, now);
    if (state === 'HALF_OPEN') {
      judgeProbe(isFailure, isSlow);
      return;
    }
    const totals = window.totals(now);
    const isOver = totals.calls >= minCalls && isBad(totals);
    if (isOver && state === 'CLOSED') change('OPEN');
    if (isOver && state === 'METRICS_ONLY' && !wasOver) options.onWouldOpen?.();
    wasOver = isOver;
  }

  /** True when the outcome of a call that was let through in `own` still counts. */
  function isInTime(own: number, lease: number): boolean {
    settle();
    if (own === period && leases.giveBack(lease)) return true;
    lateOutcomes++;
    return false;
  }

  /** A class, because every call in progress holds one. */
  class Pass implements BreakerPass {
    readonly #own = period;
    readonly #lease: number;
    #isDone = false;

    constructor(lease: number) {
      this.#lease = lease;
    }
    record(isFailure: boolean, isSlow: boolean, nowMs?: number): void {
      if (this.#finish()) judge(isFailure, isSlow, nowMs);
    }
    drop(): void {
      this.#finish();
    }
    heard(): void {
      if (this.#lease !== 0) this.record(false, false);
    }
    #finish(): boolean {
      if (this.#isDone) return false;
      this.#isDone = true;
      return isInTime(this.#own, this.#lease);
    }
  }

  return {
    acquire: () => {
      settle();
      if (state === 'OPEN' || state === 'FORCED_OPEN') return undefined;
      if (state !== 'HALF_OPEN') return new Pass(0);
      const lease = leases.take(clock.monotonic());
      return lease === 0 ? undefined : new Pass(lease);
    },
    get state() {
      settle();
      return state;
    },
    isOff: mode === 'DISABLED',
    waitMs: () => {
      settle();
      const now = clock.monotonic();
      if (state === 'OPEN') return opensUntilMs - now;
      if (state === 'FORCED_OPEN') return Number.POSITIVE_INFINITY;
      return state === 'HALF_OPEN' ? leases.waitMs(now) : 0;
    },
    totals: () => ({ ...window.totals(clock.monotonic()) }),
    get lateOutcomes() {
      return lateOutcomes;
    },
    close: () => cancelTimer(),
  };
}
