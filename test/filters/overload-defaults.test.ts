import assert from 'node:assert/strict';
import { createFakeClock } from '../support/fake-clock.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { startOnly } from './bed/start-only.ts';

const names = [
  ...['bulkhead', 'circuit-breaker', 'concurrency-limit', 'deadline-budget'],
  ...['fault-injection', 'load-shedding', 'stress', 'surgical-debug'],
];
const only = names.map((name) => `showrunner.${name}`);

describe('the filters about load and drills', () => {
  it('are off by default: they are in no chain and set no timer', async () => {
    const clock = createFakeClock();
    await using engine = await startOnly({}, { clock, only });
    const metadata = { 'x-fault': 'abort=INTERNAL', 'x-priority': 'BULK' };
    for (const kind of ['unary', 'bidi_stream'] as const) {
      assert.equal(engine.open(createFakeCall({ kind, metadata })), undefined);
    }
    assert.equal(clock.waiting, 0);
  });

  it('run in a fixed order when they are on: refusals first, then places, then faults', async () => {
    const config = Object.fromEntries(only.map((id) => [id, { enabled: true }]));
    await using engine = await startOnly(config, { clock: createFakeClock(), only });
    const order = engine.snapshot().filters.map(({ id }) => id.replace('showrunner.', ''));
    assert.deepEqual(order, [
      ...['surgical-debug', 'deadline-budget', 'load-shedding', 'stress', 'concurrency-limit'],
      ...['bulkhead', 'circuit-breaker', 'fault-injection'],
    ]);
  });
});
