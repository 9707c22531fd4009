import assert from 'node:assert/strict';
import {
  type Breaker,
  type BreakerOptions,
  type BreakerPass,
  createBreaker,
} from '../../plugins/filters/circuit-breaker/breaker.ts';
import { createCountWindow, createTimeWindow } from '../../plugins/filters/circuit-breaker/outcome-window.ts';
import type { Clock } from '../../server/core/clock.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createFakeClock } from '../support/fake-clock.ts';

interface Outcome {
  readonly second: number;
  readonly isFailure: boolean;
  readonly isSlow: boolean;
}

type Rules = Omit<BreakerOptions, 'clock' | 'random' | 'mode'>;

/** The reference: plain lists, no rings, no timers, time given with every step. */
class Model {
  state = 'CLOSED';
  period = 0;
  list: Outcome[] = [];
  probes: { until: number }[] = [];
  openings = 0;
  until = 0;
  readonly rules: Rules;
  constructor(rules: Rules) {
    this.rules = rules;
  }

  turn(state: string, now: number): void {
    Object.assign(this, { state, list: [], probes: [], period: this.period + 1 });
    const { openMs, maxOpenMs } = this.rules;
    if (state === 'OPEN') this.until = now + Math.min(openMs * 2 ** this.openings++, maxOpenMs);
    if (state === 'CLOSED') this.openings = 0;
  }
  pass(now: number): void {
    if (this.state === 'OPEN' && now >= this.until) this.turn('HALF_OPEN', now);
    for (const probe of this.probes.filter(({ until }) => until <= now)) {
      if (!this.probes.includes(probe)) continue;
      this.probes = this.probes.filter((other) => other !== probe);
      this.judge(true, false, now);
    }
  }
  acquire(now: number): { period: number; probe: { until: number } | undefined } | undefined {
    this.pass(now);
    if (this.state === 'CLOSED') return { period: this.period, probe: undefined };
    if (this.state === 'OPEN' || this.probes.length >= this.rules.probes) return undefined;
    const probe = { until: now + this.rules.probeLeaseMs };
    this.probes.push(probe);
    return { period: this.period, probe };
  }
  end(pass: { period: number; probe: { until: number } | undefined }, outcome: Outcome | undefined, now: number): void {
    this.pass(now);
    if (pass.period !== this.period || (pass.probe !== undefined && !this.probes.includes(pass.probe))) return;
    this.probes = this.probes.filter((probe) => probe !== pass.probe);
    if (outcome !== undefined) this.judge(outcome.isFailure, outcome.isSlow, now);
  }
  judge(isFailure: boolean, isSlow: boolean, now: number): void {
    const { window, windowSize, minCalls, probes, failureRate, slowRate } = this.rules;
    const second = Math.floor(now / 1000);
    this.list.push({ second, isFailure, isSlow });
    const isProbing = this.state === 'HALF_OPEN';
    const seen = isProbing
      ? this.list
      : window === 'COUNT'
        ? this.list.slice(-windowSize)
        : this.list.filter((one) => one.second > second - windowSize);
    if (
      seen.length <
      (isProbing ? Math.min(minCalls, probes) : Math.min(minCalls, window === 'COUNT' ? windowSize : minCalls))
    )
      return;
    const percent = (of: 'isFailure' | 'isSlow') => (100 * seen.filter((one) => one[of]).length) / seen.length;
    if (percent('isFailure') >= failureRate || percent('isSlow') >= slowRate) this.turn('OPEN', now);
    else if (isProbing) this.turn('CLOSED', now);
  }
}

/** A clock that is moved by hand without running anything: these breakers set no timers. */
function handClock(): Clock & { ms: number } {
  const clock = { ms: 0, now: () => clock.ms, monotonic: () => clock.ms };
  return Object.assign(clock, { sleep: () => Promise.reject(new Error('no')), schedule: () => () => {} });
}

const noJitter = { next: () => 0 };
const rules: Rules = {
  ...{ window: 'COUNT', windowSize: 10, minCalls: 5, failureRate: 50, slowRate: 100, openMs: 1000, maxOpenMs: 4000 },
  ...{ probes: 3, probeLeaseMs: 500, autoHalfOpen: false },
};

function create(change: Partial<BreakerOptions> = {}): { breaker: Breaker; clock: ReturnType<typeof handClock> } {
  const clock = handClock();
  return { breaker: createBreaker({ ...rules, mode: 'AUTO', clock, random: noJitter, ...change }), clock };
}

/** Passes calls that all end the same. */
function feed(breaker: Breaker, count: number, isFailure: boolean, isSlow = false): void {
  for (let call = 0; call < count; call++) breaker.acquire()?.record(isFailure, isSlow);
}

describe('a circuit breaker', () => {
  it('does what the reference model does in 60,000 random events', () => {
    const random = createSeededRandom(21);
    const whole = (least: number, most: number) => least + Math.floor(random.next() * (most - least + 1));
    const visited = new Map<string, number>();
    for (let round = 0; round < 120; round++) {
      const chosen: Rules = {
        ...{ window: round % 2 === 0 ? 'COUNT' : 'TIME', windowSize: whole(1, 12), minCalls: whole(1, 15) },
        ...{
          failureRate: whole(1, 100),
          slowRate: whole(1, 100),
          openMs: whole(1, 3000),
          maxOpenMs: whole(3000, 9000),
        },
        ...{ probes: whole(1, 6), probeLeaseMs: whole(1, 4000), autoHalfOpen: false },
      };
      const { breaker, clock } = create(chosen);
      const model = new Model(chosen);
      const badness = random.next();
      const open: { real: BreakerPass; model: NonNullable<ReturnType<Model['acquire']>> }[] = [];
      for (let step = 0; step < 500; step++) {
        const event = random.next();
        const at = `round ${round}, step ${step}`;
        if (event < 0.2) clock.ms += whole(0, random.next() < 0.1 ? 20_000 : 400);
        else if (event < 0.6 || open.length === 0) {
          const [real, expected] = [breaker.acquire(), model.acquire(clock.ms)];
          assert.equal(real !== undefined, expected !== undefined, at);
          if (real !== undefined && expected !== undefined) open.push({ real, model: expected });
        } else {
          const [ended] = open.splice(whole(0, open.length - 1), 1);
          assert.ok(ended);
          const isFailure = random.next() < badness;
          const isSlow = random.next() < 0.2;
          const isLost = random.next() < 0.1;
          if (isLost) ended.real.drop();
          else ended.real.record(isFailure, isSlow);
          model.end(ended.model, isLost ? undefined : { second: 0, isFailure, isSlow }, clock.ms);
          // An end that is told twice counts once.
          if (random.next() < 0.1) ended.real.record(true, true);
        }
        model.pass(clock.ms);
        assert.equal(breaker.state, model.state, at);
        visited.set(model.state, (visited.get(model.state) ?? 0) + 1);
      }
    }
    for (const state of ['CLOSED', 'OPEN', 'HALF_OPEN']) assert.ok((visited.get(state) ?? 0) > 3000, state);
  });

  it('opens at the failure rate, not below it and not before enough calls', () => {
    const { breaker } = create();
    feed(breaker, 4, true);
    assert.equal(breaker.state, 'CLOSED');
    const other = create().breaker;
    feed(other, 6, false);
    feed(other, 4, true);
    assert.equal(other.state, 'CLOSED');
    feed(other, 2, true);
    assert.equal(other.state, 'OPEN');
  });

  it('opens on slow calls', () => {
    const { breaker } = create({ slowRate: 60 });
    feed(breaker, 4, false, false);
    feed(breaker, 5, false, true);
    assert.equal(breaker.state, 'CLOSED');
    feed(breaker, 1, false, true);
    assert.equal(breaker.state, 'OPEN');
  });

  it('stays open twice as long each time the probes fail, up to the most', () => {
    const { breaker, clock } = create();
    feed(breaker, 5, true);
    for (const openMs of [1000, 2000, 4000, 4000]) {
      assert.equal(breaker.waitMs(), openMs);
      clock.ms += openMs - 1;
      assert.equal(breaker.state, 'OPEN');
      clock.ms += 1;
      feed(breaker, 3, true);
      assert.equal(breaker.state, 'OPEN');
    }
    clock.ms += 4000;
    feed(breaker, 3, false);
    assert.equal(breaker.state, 'CLOSED');
    feed(breaker, 5, true);
    assert.equal(breaker.waitMs(), 1000, 'closed in between');
  });

  it('cannot stick half-open: lost probes give their place back, and unheard ones expire as failures', () => {
    const { breaker, clock } = create();
    feed(breaker, 5, true);
    clock.ms += 1000;
    for (let probe = 0; probe < 3; probe++) breaker.acquire()?.drop();
    const [first] = [breaker.acquire(), breaker.acquire(), breaker.acquire()];
    assert.equal(breaker.acquire(), undefined, 'all places are taken');
    assert.equal(breaker.waitMs(), 500);
    clock.ms += 500;
    assert.equal(breaker.state, 'OPEN');
    first?.record(false, false);
    assert.deepEqual([breaker.state, breaker.lateOutcomes], ['OPEN', 1]);
    clock.ms += 2000;
    feed(breaker, 3, false);
    assert.equal(breaker.state, 'CLOSED');
  });

  it('lets outcomes of an earlier period move nothing', () => {
    const { breaker, clock } = create();
    const early = Array.from({ length: 5 }, () => breaker.acquire());
    feed(breaker, 5, true);
    for (const pass of early.slice(0, 2)) pass?.record(false, false);
    assert.equal(breaker.state, 'OPEN');
    clock.ms += 1000;
    for (const pass of early.slice(2)) pass?.record(true, false);
    assert.deepEqual([breaker.state, breaker.lateOutcomes], ['HALF_OPEN', 5]);
  });

  it('goes half-open by the clock where that is wished, and no more after it was closed down', async () => {
    const clock = createFakeClock();
    const changes: string[] = [];
    const onChange = (_from: string, to: string) => void changes.push(to);
    const breaker = createBreaker({ ...rules, mode: 'AUTO', autoHalfOpen: true, clock, random: noJitter, onChange });
    feed(breaker, 5, true);
    await clock.advance(999);
    assert.deepEqual(changes, ['OPEN']);
    await clock.advance(1);
    assert.deepEqual(changes, ['OPEN', 'HALF_OPEN']);
    feed(breaker, 3, true);
    breaker.close();
    assert.equal(clock.waiting, 0);
  });

  it('holds forced states, and only measures where it is told so', () => {
    const forced = create({ mode: 'FORCED_OPEN' }).breaker;
    assert.deepEqual([forced.acquire(), forced.waitMs()], [undefined, Number.POSITIVE_INFINITY]);
    const disabled = create({ mode: 'DISABLED' }).breaker;
    feed(disabled, 100, true);
    assert.equal(disabled.state, 'DISABLED');
    let would = 0;
    const measuring = create({ mode: 'METRICS_ONLY', onWouldOpen: () => void would++ }).breaker;
    feed(measuring, 20, true);
    assert.deepEqual([measuring.state, would, measuring.totals().failures], ['METRICS_ONLY', 1, 10]);
    feed(measuring, 20, false);
    feed(measuring, 20, true);
    assert.equal(would, 2);
  });
});

describe('outcome windows', () => {
  it('hold what a plain list of the latest calls holds', () => {
    const random = createSeededRandom(8);
    for (const size of [1, 2, 7, 30]) {
      const [byCount, byTime] = [createCountWindow(size), createTimeWindow(size)];
      const list: (Outcome & { readonly ms: number })[] = [];
      let ms = 5_000_000;
      for (let step = 0; step < 3000; step++) {
        ms += Math.floor(random.next() * (random.next() < 0.02 ? 100_000 : 700));
        const [isFailure, isSlow] = [random.next() < 0.5, random.next() < 0.3];
        list.push({ ms, second: Math.floor(ms / 1000), isFailure, isSlow });
        for (const window of [byCount, byTime]) window.add(isFailure, isSlow, ms);
        const totals = (seen: readonly Outcome[]) => ({
          calls: seen.length,
          failures: seen.filter((one) => one.isFailure).length,
          slow: seen.filter((one) => one.isSlow).length,
        });
        const second = Math.floor(ms / 1000);
        assert.deepEqual(byCount.totals(ms), totals(list.slice(-size)));
        assert.deepEqual(byTime.totals(ms), totals(list.filter((one) => one.second > second - size)));
      }
      for (const window of [byCount, byTime]) window.clear(ms);
      assert.deepEqual([byCount.totals(ms).calls, byTime.totals(ms).calls], [0, 0]);
    }
  });
});
