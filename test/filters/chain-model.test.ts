import assert from 'node:assert/strict';
import type { Call } from '../../server/core/call.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { createSeededRandom, type Random } from '../../server/core/random.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { type AnyFilter, createInlinePipeline } from './bed/inline-pipeline.ts';
import { runCall } from './bed/run-call.ts';

const behaviours = ['pass', 'answer', 'refuse', 'throw', 'hang', 'skip', 'disabled'] as const;
const types = ['inbound', 'endpoint', 'outbound', 'error'] as const;

interface Plan {
  readonly id: string;
  readonly type: (typeof types)[number];
  readonly behaviour: (typeof behaviours)[number];
  readonly isAsync: boolean;
  readonly policy: 'closed' | 'open';
}

function planOf(random: Random, index: number): Plan {
  const pick = <T>(items: readonly T[]) => items[Math.floor(random.next() * items.length)] as T;
  // Mostly passing filters, so that chains are passed to their end often enough.
  const behaviour = random.next() < 0.6 ? 'pass' : pick(behaviours);
  const type = pick(types);
  return {
    id: `test.f${String(index).padStart(2, '0')}`,
    type,
    behaviour: behaviour === 'answer' && (type === 'outbound' || type === 'error') ? 'pass' : behaviour,
    isAsync: behaviour === 'hang' || random.next() < 0.4,
    policy: pick(['closed', 'open'] as const),
  };
}

function filterOf(plan: Plan, order: number): AnyFilter {
  const act = () => {
    if (plan.behaviour === 'answer') return { messages: [plan.id] };
    if (plan.behaviour === 'refuse') {
      throw new AppError({ code: Code.ABORTED, reason: `REFUSED_${order}`, message: plan.id });
    }
    if (plan.behaviour === 'throw') throw new Error(plan.id);
    return undefined;
  };
  const { id, type } = plan;
  return {
    ...{ id, type, order, version: '1.0.0', category: 'context', failurePolicy: plan.policy, timeoutMs: 100 },
    shouldRun: () => plan.behaviour !== 'skip',
    run: plan.behaviour === 'hang' ? () => new Promise(() => {}) : plan.isAsync ? async () => act() : act,
  } as AnyFilter;
}

interface Expected {
  readonly reason: string | undefined;
  readonly answeredBy: string | undefined;
  readonly statuses: Readonly<Record<string, string>>;
}

/** The reference: what the contract says, without promises, timers or records. */
function model(plans: readonly Plan[]): Expected {
  const statuses: Record<string, string> = {};
  for (const { id, behaviour } of plans) statuses[id] = behaviour === 'disabled' ? 'disabled' : 'skipped(not_reached)';
  let reason: string | undefined;
  let answeredBy: string | undefined;
  const phase = (names: readonly string[], isError: boolean) => {
    for (const [order, plan] of plans.entries()) {
      if (!names.includes(plan.type) || plan.behaviour === 'disabled') continue;
      const status = { pass: 'ran', answer: 'short_circuited(answered)', refuse: 'short_circuited(refused)' } as const;
      const failure = { throw: 'failed(threw)', hang: 'timed_out', skip: 'skipped(should_run)' } as const;
      statuses[plan.id] = { ...status, ...failure }[plan.behaviour];
      if (plan.behaviour === 'answer') {
        answeredBy = plan.id;
        return;
      }
      if (plan.behaviour === 'refuse') reason = `REFUSED_${order}`;
      else if (plan.behaviour === 'throw' && plan.policy === 'closed' && !isError) reason = 'FILTER_FAILED';
      else if (plan.behaviour === 'hang' && plan.policy === 'closed' && !isError) reason = 'FILTER_TIMED_OUT';
      if (reason !== undefined && !isError) return;
    }
  };
  phase(['inbound'], false);
  if (reason === undefined && answeredBy === undefined) phase(['endpoint'], false);
  if (reason === undefined) phase(['outbound'], false);
  if (reason !== undefined) phase(['error'], true);
  return { reason, answeredBy, statuses };
}

describe('a chain of filters', () => {
  it('behaves as its reference model in 1000 random chains of sync, async, refusing, failing and hanging filters', async () => {
    const random = createSeededRandom(20_260_101);
    for (let round = 0; round < 1000; round++) {
      const plans = Array.from({ length: Math.floor(random.next() * 10) }, (_, index) => planOf(random, index));
      // The order of the model is that of the plans; orders are the indexes, so types interleave.
      const disabled = plans.filter(({ behaviour }) => behaviour === 'disabled').map(({ id }) => id);
      const pipeline = await createInlinePipeline(plans.map(filterOf), { disabled });
      const expected = model(plans);
      const call: Call = createFakeCall();
      let isDone = false;
      const running = runCall(pipeline, call).finally(() => {
        isDone = true;
      });
      await pipeline.clock.advance(0);
      for (let step = 0; step < plans.length && !isDone; step++) await pipeline.clock.advance(100);
      const { error, responses } = await running;
      const text = JSON.stringify({ round, plans });
      assert.equal(error?.reason, expected.reason, text);
      if (error === undefined) assert.deepEqual(responses, [expected.answeredBy ?? 'request'], text);
      if (pipeline.snapshot.chainFor(call).slots.length > 0) {
        const statuses = pipeline
          .explain(call.id)
          .filters.map(({ id, status, detail }) => [id, detail === '' ? status : `${status}(${detail})`]);
        assert.deepEqual(Object.fromEntries(statuses), expected.statuses, text);
      }
      assert.equal(pipeline.snapshot.calls(), 0, text);
      assert.equal(pipeline.clock.waiting, 0, text);
      assert.ok(
        pipeline.filters.every(({ inFlight }) => inFlight === 0),
        text,
      );
    }
  });
});
