import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from '../../../server/core/clock.ts';
import { holdFilter, type LoadedFilter, releaseFilter } from '../load/loaded-filter.ts';
import { formatNs } from '../load/run-times.ts';
import { createSampleCall } from './sample-call.ts';
import { type SelfTestInput, takeCase } from './self-test.ts';
import type { SelfTestCall } from './self-test-case.ts';

/** Bounds of a conformance run. */
export interface ConformanceOptions {
  /** Most time that half of the calls may spend in the filter, waits included, in ns; default 50,000. */
  readonly budgetNs?: number;
  /** Calls that are timed; default 2000. */
  readonly calls?: number;
}

/** One check, and what it found; `isPassed` false = the filter breaks the contract. */
export interface ConformanceResult {
  readonly check: 'odd calls' | 'event loop' | 'budget' | 'permits' | 'leaks';
  readonly isPassed: boolean;
  readonly detail: string;
}

const kinds = ['unary', 'client_stream', 'server_stream', 'bidi_stream'] as const;
/** Calls that are allowed and seldom thought of. */
const oddCalls: readonly SelfTestCall[] = [
  {},
  { known: false, path: '/' },
  { known: false, path: `/${'x'.repeat(8000)}/y` },
  { path: '/a.B/C', peer: 'unknown' },
  { peer: '[::1]:50000', deadlineMs: 1 },
  { principal: { id: '' } },
  { principal: { id: 'ü'.repeat(2000), scopes: ['a b'], method: 'jwt' } },
  { metadata: Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`x-${i}`, 'v'.repeat(100)])) },
  { metadata: { authorization: '', 'x-request-id': '\u007f', 'x-priority': 'NONE', 'x-bytes-bin': new Uint8Array(9) } },
];
const oddRequests: readonly (readonly unknown[])[] = [[{}], [], [new Uint8Array(0)], [{}, {}, {}]];

const maxFailures = 3;

function oddInputs(): { readonly call: SelfTestCall; readonly requests: readonly unknown[] }[] {
  return kinds.flatMap((kind) =>
    oddCalls.flatMap((call) => {
      const requests = kind === 'unary' || kind === 'server_stream' ? [[{}]] : oddRequests;
      return requests.map((one) => ({ call: { ...call, kind }, requests: one }));
    }),
  );
}

const failuresOf = ({ counts }: LoadedFilter) => counts.failed + counts.timedOut + counts.overloaded;

/** Takes calls through the filter; what it takes of verdicts is its own business. */
async function takeAll(filter: LoadedFilter, inputs: readonly SelfTestInput[], clock: Clock): Promise<void> {
  for (const input of inputs)
    await takeCase(filter, input, createSampleCall(input.call ?? {}, clock, filter.messages), clock);
}

/** A call that holds the event loop does so whenever it is tried; what a busy machine holds up once, is not the filter's. */
async function isHeldEachTime(filter: LoadedFilter, input: SelfTestInput, clock: Clock): Promise<boolean> {
  for (let tries = 0; tries < 3; tries++) {
    const before = filter.counts.blocked;
    await takeAll(filter, [input], clock);
    if (filter.counts.blocked === before) return false;
  }
  return true;
}

async function checkOddCalls(filter: LoadedFilter, clock: Clock): Promise<ConformanceResult[]> {
  let first = '';
  let failures = 0;
  let blocked = 0;
  for (const input of oddInputs()) {
    const before = { failures: failuresOf(filter), blocked: filter.counts.blocked };
    await takeAll(filter, [input], clock);
    if (failuresOf(filter) > before.failures) {
      failures++;
      if (first === '') first = JSON.stringify(input.call).slice(0, 120);
    }
    if (filter.counts.blocked > before.blocked && (await isHeldEachTime(filter, input, clock))) blocked++;
    // Each may take as long as the filter may: some say enough.
    if (Math.max(failures, blocked) >= maxFailures) break;
  }
  return [
    {
      check: 'odd calls',
      isPassed: failures === 0,
      detail: failures === 0 ? 'none makes it fail' : `${failures} make it fail, the first: ${first}`,
    },
    { check: 'event loop', isPassed: blocked === 0, detail: `${blocked} calls hold it for more than 50 ms` },
  ];
}

async function checkBudget(
  filter: LoadedFilter,
  clock: Clock,
  options: ConformanceOptions,
): Promise<ConformanceResult> {
  const { budgetNs = 50_000, calls = 2000 } = options;
  const inputs = Array.from({ length: calls }, (): SelfTestInput => ({ call: { principal: { id: 'kit' } } }));
  await takeAll(filter, inputs.slice(0, calls / 2), clock);
  const before = filter.times.copy();
  await takeAll(filter, inputs, clock);
  const median = filter.times.since(before).quantile(0.5) ?? 0;
  return {
    check: 'budget',
    isPassed: median <= budgetNs,
    detail: `median ${formatNs(median)} of ${formatNs(budgetNs)}`,
  };
}

/** Opens and closes instances; their states must go when nothing of ours holds them any more. */
async function checkLeaks(filter: LoadedFilter, clock: Clock): Promise<ConformanceResult> {
  const states: WeakRef<object>[] = [];
  const opened = 10;
  const openOne = async () => {
    const other = await filter.reopen(filter.rawConfig);
    holdFilter(other);
    await takeAll(other, [{ call: { principal: { id: 'kit' } } }], clock);
    if (typeof other.state === 'object' && other.state !== null) states.push(new WeakRef(other.state));
    await releaseFilter(other);
  };
  for (let i = 0; i < opened; i++) await openOne();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let round = 0; round < 4; round++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  const held = states.filter((state) => state.deref() !== undefined).length;
  // The stack of the last round may still hold one.
  return { check: 'leaks', isPassed: held <= 1, detail: `${held} of ${states.length} closed states are still held` };
}

/**
 * Takes an opened filter through what servers do to filters: calls of every kind and shape, thousands of them, many
 * instances. A refusal is no fault; a failure, a held event loop, a run over budget, a run that never ends and a state
 * that stays after `close` are.
 */
export async function runConformance(
  filter: LoadedFilter,
  clock: Clock,
  options: ConformanceOptions,
): Promise<ConformanceResult[]> {
  const results = await checkOddCalls(filter, clock);
  results.push(await checkBudget(filter, clock, options));
  const { inFlight } = filter;
  results.push({ check: 'permits', isPassed: inFlight === 0, detail: `${inFlight} runs have not ended` });
  results.push(await checkLeaks(filter, clock));
  return results;
}
