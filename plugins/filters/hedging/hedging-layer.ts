import type { Call, Clock, Counters } from '../../engine/filter.ts';
import { type HeldHead, holdHead } from '../../origins/held-head.ts';
import {
  leaveReply,
  type OriginCall,
  type OriginLayer,
  type OriginReply,
  type OriginRequest,
} from '../../origins/origin-call.ts';
import { createReplay, type Replay } from '../../origins/replay.ts';
import type { RetryBudget } from '../../origins/retry-budget.ts';

type HedgingCounters = Counters<'hedged' | 'won' | 'budget_refused'>;

interface HedgingPlan {
  /** How long the first try is waited for, in ms. */
  readonly delayMs: (path: string) => number;
  /** Gets the time to the first response of the try that won. */
  readonly observe: (path: string, latencyMs: number) => void;
  readonly isIdempotent: (call: Call) => boolean;
  readonly budget: RetryBudget;
  readonly maxReplayBytes: number;
  readonly counters: HedgingCounters;
  readonly clock: Clock;
}

type Result = IteratorResult<Uint8Array, undefined>;

interface Try {
  readonly reply: OriginReply;
  readonly head: HeldHead;
  readonly controller: AbortController;
  readonly isHedge: boolean;
}

/** Makes a second try at another origin when the first is slow; the first that succeeds wins, the other is cancelled. */
export function createHedgingLayer(plan: HedgingPlan): OriginLayer {
  return {
    place: 'hedging',
    wrap: (next) => (request) =>
      request.cluster === undefined || !plan.isIdempotent(request.exchange.call)
        ? next(request)
        : hedged(next, request, plan),
  };
}

async function* hedged(
  next: OriginCall,
  request: OriginRequest,
  plan: HedgingPlan,
): AsyncGenerator<Uint8Array, undefined> {
  const replay = createReplay(request.requests, plan.maxReplayBytes);
  const leave = plan.budget.enter();
  const startedAt = plan.clock.monotonic();
  let winner: Try | undefined;
  try {
    const race = await runRace(next, request, replay, plan);
    winner = race.winner;
    plan.observe(request.path, plan.clock.monotonic() - startedAt);
    if (winner.isHedge) plan.counters.add('won');
    replay.commit();
    winner.head.commit();
    let { result } = race;
    for (; !result.done; result = await winner.reply.next()) yield result.value;
    return undefined;
  } finally {
    leave();
    if (winner !== undefined) await leaveReply(winner.reply);
  }
}

/** Resolves with the first try that gives a response or ends well; rejects when all that were started have failed. */
function runRace(
  next: OriginCall,
  request: OriginRequest,
  replay: Replay,
  plan: HedgingPlan,
): Promise<{ winner: Try; result: Result }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ winner: Try; result: Result }>();
  const tries: Try[] = [];
  let running = 0;
  let isOver = false;
  let firstFailure: { readonly error: unknown; readonly head: HeldHead | undefined } | undefined;
  let giveBack = () => {};

  const finish = () => {
    isOver = true;
    cancelTimer();
    giveBack();
  };
  const failed = (error: unknown, head: HeldHead | undefined) => {
    running--;
    firstFailure ??= { error, head };
    if (isOver || running > 0) return;
    finish();
    firstFailure.head?.commit();
    reject(firstFailure.error);
  };
  const won = (winner: Try, result: Result) => {
    if (isOver) return;
    finish();
    for (const other of tries) if (other !== winner) other.controller.abort();
    resolve({ winner, result });
  };
  const launch = (isHedge: boolean) => {
    running++;
    let one: Try;
    try {
      one = startTry(next, request, replay, isHedge);
    } catch (error) {
      failed(error, undefined);
      return;
    }
    tries.push(one);
    one.reply.next().then(
      (result) => won(one, result),
      (error) => failed(error, one.head),
    );
  };
  const cancelTimer = plan.clock.schedule(plan.delayMs(request.path), () => {
    // A caller that still sends, or sent too much, has its one try.
    if (isOver || !replay.isComplete) return;
    const permission = plan.budget.take();
    if (permission === undefined) {
      plan.counters.add('budget_refused');
      return;
    }
    giveBack = permission;
    plan.counters.add('hedged');
    launch(true);
  });
  launch(false);
  return promise;
}

function startTry(next: OriginCall, request: OriginRequest, replay: Replay, isHedge: boolean): Try {
  const controller = new AbortController();
  const head = holdHead(request, () => !replay.isComplete);
  const reply = next({
    ...request,
    requests: replay.open(),
    signal: AbortSignal.any([request.signal, controller.signal]),
    onHeaders: head.onHeaders,
    onTrailers: head.onTrailers,
    isHedge,
  });
  return { reply, head, controller, isHedge };
}
