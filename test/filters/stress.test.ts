import assert from 'node:assert/strict';
import { createEventQueue } from '../../bench/limiters/event-queue.ts';
import { createWorkerPool, startArrivals } from '../../bench/limiters/worker-pool.ts';
import { localRefusal } from '../../plugins/engine/filter.ts';
import { findKnee, type RampStep } from '../../plugins/filters/stress/knee.ts';
import { createRamp } from '../../plugins/filters/stress/ramp.ts';
import { createStepMeter } from '../../plugins/filters/stress/step-meter.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createLogBook, type LogBook } from './bed/log-book.ts';
import { runCall } from './bed/run-call.ts';
import { startOnly } from './bed/start-only.ts';

const id = 'showrunner.stress';
const rules = { latencyTolerance: 2, maxErrorPercent: 1, minGain: 0.5 };

function stepOf(percent: number, change: Partial<RampStep> = {}): RampStep {
  const rate = percent * 10;
  const common = { percent, admittedPerSecond: rate, goodPerSecond: rate, p50Ms: 5, p95Ms: 10, errorPercent: 0 };
  return { ...common, ...change };
}

describe('the knee', () => {
  const before = [stepOf(10), stepOf(20, { p95Ms: 12 })];

  it('is where calls fail, latency leaves the lowest behind, or more calls bring no more answers', () => {
    assert.equal(findKnee(stepOf(40), before, rules), undefined);
    assert.equal(findKnee(stepOf(40, { errorPercent: 1.1 }), before, rules), 'errors');
    assert.equal(findKnee(stepOf(40, { p95Ms: 20.1 }), before, rules), 'latency');
    assert.equal(findKnee(stepOf(40, { goodPerSecond: 299 }), before, rules), 'throughput');
    assert.equal(findKnee(stepOf(40, { goodPerSecond: 301 }), before, rules), undefined);
  });

  it('is not judged by latency and throughput in the first step, nor by throughput where nothing was added', () => {
    assert.equal(findKnee(stepOf(5, { p95Ms: 1000, goodPerSecond: 0 }), [], rules), undefined);
    assert.equal(findKnee(stepOf(20.5, { goodPerSecond: 0 }), before, rules), undefined);
  });
});

describe('a ramp', () => {
  const options = { ...rules, startPercent: 10, maxPercent: 100, factor: 2, maxSteps: 20 };

  it('goes up by its factor to the top', () => {
    const ramp = createRamp(options);
    const percents: number[] = [];
    for (;;) {
      percents.push(ramp.percent);
      const report = ramp.take(stepOf(ramp.percent));
      if (report === undefined) continue;
      assert.deepEqual([report.end, report.best?.percent], ['top', 100]);
      break;
    }
    assert.deepEqual(percents, [10, 20, 40, 80, 100]);
  });

  it('takes a bad step once more, and stops at the second', () => {
    const ramp = createRamp(options);
    ramp.take(stepOf(10));
    const bad = stepOf(20, { p95Ms: 50 });
    assert.equal(ramp.take(bad), undefined);
    assert.equal(ramp.percent, 20);
    ramp.take(stepOf(20));
    assert.equal(ramp.percent, 40, 'it was chance');
    ramp.take(stepOf(40, { errorPercent: 5 }));
    const report = ramp.take(stepOf(40, { errorPercent: 5 }));
    assert.deepEqual([report?.end, report?.cause, report?.best?.percent], ['knee', 'errors', 20]);
    assert.equal(ramp.take(stepOf(40)), report, 'it is over');
  });

  it('says so when not even the first step was good, and when there were too many', () => {
    const ramp = createRamp(options);
    ramp.take(stepOf(10, { errorPercent: 50 }));
    assert.deepEqual(ramp.take(stepOf(10, { errorPercent: 50 }))?.best, undefined);
    const short = createRamp({ ...options, maxSteps: 2 });
    short.take(stepOf(10));
    assert.equal(short.take(stepOf(20))?.end, 'steps');
  });

  it('finds the knee of random servers within a step', () => {
    const random = createSeededRandom(17);
    for (let round = 0; round < 200; round++) {
      const capacity = 100 + random.next() * 850;
      const ramp = createRamp({ ...options, factor: 1.2 });
      for (;;) {
        const { percent } = ramp;
        const rate = percent * 10;
        const use = rate / capacity;
        const p95Ms = (use < 0.95 ? 10 / (1 - 0.3 * use ** 4) : 100 * use) * (0.95 + 0.1 * random.next());
        const report = ramp.take(stepOf(percent, { p95Ms, goodPerSecond: Math.min(rate, capacity) }));
        if (report === undefined) continue;
        const found = report.best?.admittedPerSecond ?? 0;
        assert.ok(found <= capacity && found >= (0.95 * capacity) / 1.2 - 1, `${found} of ${capacity}`);
        break;
      }
    }
  });
});

describe('the step meter', () => {
  it('gives rates, quantiles and failures of a step, and begins anew', () => {
    const meter = createStepMeter(createSeededRandom(1));
    for (let call = 1; call <= 100; call++) {
      meter.admitted();
      meter.ended(call, call > 98);
    }
    assert.deepEqual(meter.close(30, 2000), {
      ...{ percent: 30, admittedPerSecond: 50, goodPerSecond: 49, p50Ms: 50, p95Ms: 95, errorPercent: 2 },
    });
    assert.deepEqual([meter.calls, meter.failures, meter.close(30, 1000).p95Ms], [0, 0, 0]);
  });

  it('keeps a fair sample of many latencies', () => {
    const meter = createStepMeter(createSeededRandom(1));
    for (let call = 0; call < 50_000; call++) meter.ended(call, false);
    const { p50Ms } = meter.close(1, 1000);
    assert.ok(Math.abs(p50Ms - 25_000) < 2500, `${p50Ms}`);
  });
});

function start(config: object, clock = createFakeClock(), book = createLogBook()) {
  return startOnly({ [id]: { enabled: true, ...config } }, { clock, log: book.log, only: [id] });
}

/** A server of 10 workers of 20 ms behind the filter, called 1000 times a second: it bears half of that. */
async function simulate(config: object, seconds: number, book: LogBook) {
  const queue = createEventQueue();
  const random = createSeededRandom(6);
  await using engine = await startOnly(
    { [id]: { enabled: true, stepMs: 2000, startPercent: 10, ...config } },
    { clock: queue.clock, log: book.log, only: [id] },
  );
  const pool = createWorkerPool(queue, 10);
  const arrive = () => {
    const session = engine.open(createFakeCall());
    const end = (error: AppError | undefined) => {
      const counts = { durationMs: 1, requestMessages: 1, responseMessages: 1 };
      session?.end?.({ code: error?.code ?? Code.OK, error, ...counts });
    };
    try {
      void session?.inbound?.();
    } catch (error) {
      assert.ok(error instanceof AppError);
      end(error);
      return;
    }
    const serviceMs = () => 10 - Math.log(1 - random.next()) * 10;
    pool.submit(serviceMs, () => end(undefined));
  };
  startArrivals(queue, random, () => 1000, seconds * 1000, arrive);
  queue.runUntil(seconds * 1000 + 600_000);
}

describe('the stress filter', () => {
  it('is off unless it is switched on', async () => {
    await using engine = await start({ enabled: false });
    assert.equal(engine.open(createFakeCall()), undefined);
  });

  it('finds what a simulated server bears, and stops there', async () => {
    const book = createLogBook();
    await simulate({}, 60, book);
    const [report, ...more] = book.of('load test finished');
    assert.equal(more.length, 0);
    assert.equal(report?.['end'], 'knee');
    const rate = Number(report?.['good_per_second']);
    // The worker-seconds there are: 10 per second, at 20 ms each.
    assert.ok(rate > 330 && rate < 520, `${rate} calls per second`);
    assert.ok(book.of('load test step').length >= 5);
  });

  it('admits its share, and tells those left out what to do', async () => {
    for (const [mirrored, pushback] of [
      [true, '-1'],
      [false, '0'],
    ] as const) {
      await using engine = await start({ startPercent: 30, mirrored });
      let refused = 0;
      for (let count = 0; count < 1000; count++) {
        const call = createFakeCall();
        const { error } = await runCall(engine, call);
        if (error === undefined) continue;
        refused++;
        assert.deepEqual([error.code, error.reason], [Code.UNAVAILABLE, 'STRESS_SURPLUS']);
        assert.equal(call.responseTrailers.get('grpc-retry-pushback-ms'), pushback);
        assert.equal(localRefusal.get(call), id);
      }
      assert.ok(refused > 640 && refused < 760, `${refused}`);
    }
  });

  it('stops early when calls fail, and then leaves real traffic alone and mirrored out', async () => {
    for (const [mirrored, expected] of [
      [true, 'STRESS_SURPLUS'],
      [false, undefined],
    ] as const) {
      const book = createLogBook();
      const clock = createFakeClock();
      await using engine = await start({ startPercent: 100, mirrored }, clock, book);
      const boom = new AppError({ code: Code.UNAVAILABLE, reason: 'BOOM', message: 'boom' });
      for (let call = 0; call < 60 && book.of('load test finished').length === 0; call++) {
        await clock.advance(1);
        await runCall(engine, createFakeCall(), { endpoint: () => Promise.reject(boom) });
      }
      assert.deepEqual(
        book.of('load test finished').map(({ end, cause }) => [end, cause]),
        [['knee', 'errors']],
      );
      assert.equal((await runCall(engine, createFakeCall())).error?.reason, expected);
    }
  });

  it('leaves calls alone that do not take part', async () => {
    await using engine = await start({ startPercent: 0.1, header: 'x-mirrored', paths: ['/test.*'] });
    assert.equal((await runCall(engine, createFakeCall())).error, undefined);
    const metadata = { 'x-mirrored': '1' };
    assert.equal((await runCall(engine, createFakeCall({ metadata, service: 'other' }))).error, undefined);
    assert.equal((await runCall(engine, createFakeCall({ metadata }))).error?.reason, 'STRESS_SURPLUS');
  });

  it('refuses a configuration out of range', async () => {
    for (const config of [{ factor: 1 }, { startPercent: 0 }, { minCalls: 0 }, { stepMs: 1 }]) {
      await rejectsWith(start(config), Code.INVALID_ARGUMENT, 'FILTER_CONFIG_INVALID');
    }
  });
});
