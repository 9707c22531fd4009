import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { FilterContext, FilteredOutcome } from '../../plugins/engine/filter.ts';
import type { Call } from '../../server/core/call.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { formatFilterLine, parseFilterLine } from '../support/filter-line.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { type AnyFilter, createInlinePipeline } from './bed/inline-pipeline.ts';
import { runCall } from './bed/run-call.ts';

type Ctx = FilterContext<unknown, unknown>;

const base = { version: '1.0.0', order: 0, category: 'context', type: 'inbound' } as const;
const refusal = new AppError({ code: Code.PERMISSION_DENIED, reason: 'NO', message: 'no' });

/** A fake clock whose readings code can move on without giving up the thread. */
function createSteppingClock() {
  const clock = createFakeClock();
  let aheadMs = 0;
  return {
    ...clock,
    monotonic: () => clock.monotonic() + aheadMs,
    get waiting() {
      return clock.waiting;
    },
    step: (ms: number) => {
      aheadMs += ms;
    },
  };
}

/** One filter for most of the things that can become of one. */
const everything: AnyFilter[] = [
  { ...base, id: 'test.off', run: () => undefined },
  { ...base, id: 'test.other-service', match: { services: ['other'] }, run: () => undefined },
  { ...base, id: 'test.slow', order: 1, run: (_call: Call, ctx: Ctx) => ctx.clock.sleep(5) },
  { ...base, id: 'test.open', order: 2, failurePolicy: 'open', run: () => Promise.reject(new Error('x')) },
  { ...base, id: 'test.refuse', order: 3, run: () => Promise.reject(refusal) },
  { ...base, id: 'test.unreached', order: 4, run: () => undefined },
  { ...base, id: 'test.errors', type: 'error', run: () => undefined },
];

async function explainEverything() {
  const pipeline = await createInlinePipeline(everything, { disabled: ['test.off'] });
  const call = createFakeCall();
  const running = runCall(pipeline, call);
  await pipeline.clock.advance(5);
  await running;
  return pipeline.explain(call.id);
}

describe('explanation of a call', () => {
  it('says of every filter whether it ran, why not, and how long it took', async () => {
    const { path, code, snapshotVersion, durationMs, filters } = await explainEverything();
    assert.deepEqual(
      { path, code, snapshotVersion, durationMs },
      { path: '/test.Service/Get', code: Code.PERMISSION_DENIED, snapshotVersion: 1, durationMs: 1 },
    );
    assert.deepEqual(
      filters.map(({ id, status, detail, ns, waitNs }) => `${id} ${status} ${detail} ${ns} ${waitNs}`),
      [
        'test.off disabled  0 0',
        'test.other-service skipped service 0 0',
        'test.slow ran  5000000 5000000',
        'test.open failed threw 0 0',
        'test.refuse short_circuited refused 0 0',
        'test.unreached skipped not_reached 0 0',
        'test.errors ran  0 0',
      ],
    );
  });

  it('is one line that parses back', async () => {
    const { line, filters } = await explainEverything();
    assert.ok(
      line.startsWith('test.off@1.0.0:inbound=disabled/0, test.other-service@1.0.0:inbound=skipped(service)/0'),
    );
    assert.deepEqual(parseFilterLine(line), filters);
    assert.equal(formatFilterLine(filters), line);
    assert.ok(line.includes('test.slow@1.0.0:inbound=ran/5000000/5000000, '), line);
    assert.deepEqual(parseFilterLine('a.b@1.0.0:inbound=ran/7')[0]?.waitNs, 0, 'lines without waits are read, too');
    assert.deepEqual(parseFilterLine(''), []);
    assert.throws(() => parseFilterLine('nonsense'), /no entry of a filter line/);
  });

  it('tells the time that a filter held the thread from the time that it waited', async () => {
    const clock = createSteppingClock();
    const filters: AnyFilter[] = [
      { ...base, id: 'test.holds', run: () => void clock.step(4) },
      {
        ...{ ...base, id: 'test.both', order: 1, timeoutMs: 100 },
        run: (_call: Call, ctx: Ctx) => {
          clock.step(3);
          return ctx.clock.sleep(20);
        },
        onRequestMessage: () => void clock.step(2),
      },
      {
        ...base,
        id: 'test.late',
        order: 2,
        timeoutMs: 30,
        failurePolicy: 'open',
        run: () => new Promise<void>(() => {}),
      },
    ];
    const pipeline = await createInlinePipeline(filters, { clock });
    const timesOf = async () => {
      const call = createFakeCall();
      let isDone = false;
      const running = runCall(pipeline, call).finally(() => {
        isDone = true;
      });
      while (!isDone) await clock.advance(1);
      await running;
      return pipeline
        .explain(call.id)
        .filters.map(({ ns, waitNs }) => [Math.round(ns / 1e6), Math.round(waitNs / 1e6)]);
    };
    const expected = [
      [4, 0],
      [25, 20],
      [30, 30],
    ];
    assert.deepEqual(await timesOf(), expected);
    assert.deepEqual(await timesOf(), expected, 'a record that is used again begins with none');
  });

  it('adds up the time of all hooks of a filter', async () => {
    const filter: AnyFilter = {
      ...{ ...base, id: 'test.f' },
      run: (_call: Call, ctx: Ctx) => ctx.clock.sleep(2),
      onRequestMessage: (_message, _call, ctx) => ctx.clock.sleep(3),
    };
    const pipeline = await createInlinePipeline([filter]);
    const call = createFakeCall();
    let isDone = false;
    const running = runCall(pipeline, call, { requests: [1, 2] }).finally(() => {
      isDone = true;
    });
    while (!isDone) await pipeline.clock.advance(1);
    await running;
    assert.equal(pipeline.explain(call.id).filters[0]?.ns, 8_000_000);
  });

  it('is kept for a bounded number of ended calls, the latest ones', async () => {
    await using folders = await createFilterFolders();
    await folders.filter('a', 'onEnd: () => {},');
    const engine = await folders.engine({ recentCalls: 3 });
    const calls = Array.from({ length: 5 }, () => createFakeCall());
    for (const call of calls) await runCall(engine, call);
    assert.deepEqual(
      calls.map(({ id }) => engine.explain(id)?.callId),
      [undefined, undefined, ...calls.slice(2).map(({ id }) => id)],
    );
    assert.equal(engine.explain('nobody'), undefined);
  });

  it('stays as it was when its record is used again for other calls, or is gone when nobody asked in time', async () => {
    const outcomes: FilteredOutcome[] = [];
    const asked: string[] = [];
    const keep = (outcome: FilteredOutcome) => {
      if (outcomes.push(outcome) % 3 === 0) asked.push(outcome.filterLine());
    };
    const filters: AnyFilter[] = [
      { ...base, id: 'test.f', onEnd: (_call, outcome) => keep(outcome) },
      { ...base, id: 'test.g', match: { metadata: { go: true } }, run: () => undefined },
    ];
    const pipeline = await createInlinePipeline(filters);
    for (let i = 0; i < 500; i++) {
      await runCall(pipeline, createFakeCall(i % 2 === 0 ? { metadata: { go: 'y' } } : {}));
    }
    for (const [index, outcome] of outcomes.entries()) {
      const line = outcome.filterLine();
      if (index % 3 === 2) assert.equal(line, asked[(index - 2) / 3]);
      else if (line === '') continue;
      assert.match(line, index % 2 === 0 ? /test\.g@1\.0\.0:inbound=ran/ : /test\.g@.*=skipped\(metadata\)/);
    }
    assert.equal(outcomes[0]?.filterLine(), '', 'its record was taken long ago');
    assert.equal(outcomes[0]?.filterNs(), 0);
  });

  it('is an event of the server span of a real call, also of one that fails', async () => {
    const preload = new URL('../../server/core/telemetry/preload.ts', import.meta.url);
    const child = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        '--import',
        preload.href,
        join(import.meta.dirname, 'bed/traced-server.ts'),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'], timeout: 20_000 },
    );
    const output = await text(child.stdout);
    const spans = output.trim().split('\n');
    assert.equal(spans.length, 2, output);
    for (const span of spans) {
      const events = (JSON.parse(span) as { name: string; text: string }[]).filter(({ name }) => name === 'filters');
      assert.equal(events.length, 1, span);
      const statuses = parseFilterLine(events[0]?.text ?? '').map(({ id, status }) => [id, status]);
      assert.deepEqual(statuses, [
        ['test.a', 'ran'],
        ['test.b', 'failed'],
      ]);
    }
  });
});
