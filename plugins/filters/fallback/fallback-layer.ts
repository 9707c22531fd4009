import { AppError, type Call, type Clock, type Code, type Counters } from '../../engine/filter.ts';
import { codeOf } from '../../origins/call-codes.ts';
import { type HeldHead, holdHead } from '../../origins/held-head.ts';
import {
  leaveReply,
  type OriginCall,
  type OriginLayer,
  type OriginReply,
  type OriginRequest,
} from '../../origins/origin-call.ts';
import { createReplay, type Replay } from '../../origins/replay.ts';
import { callerOf } from './caller-key.ts';
import { type ResponseCache, responseKey } from './response-cache.ts';
import { isWhole } from './whole-request.ts';

/** One way to answer after a failure; they are tried in order. */
export type FallbackStep =
  | { readonly kind: 'cached'; readonly maxAgeMs: number; readonly isShared: boolean }
  | { readonly kind: 'other'; readonly cluster: string | undefined; readonly path: string | undefined }
  | { readonly kind: 'static'; readonly messages: readonly Uint8Array[] };

interface FallbackPlan {
  readonly codes: ReadonlySet<Code>;
  readonly steps: readonly FallbackStep[];
  readonly cache: ResponseCache;
  readonly maxReplayBytes: number;
  readonly counters: Counters<'cached' | 'other' | 'static' | 'missed'>;
  readonly clock: Clock;
}

/** Answers in place of an endpoint that failed before its first message; the `x-fallback` header tells how. */
export function createFallbackLayer(plan: FallbackPlan): OriginLayer {
  return { place: 'fallback', wrap: (next) => (request) => withFallback(next, request, plan) };
}

async function* withFallback(
  next: OriginCall,
  request: OriginRequest,
  plan: FallbackPlan,
): AsyncGenerator<Uint8Array, undefined> {
  const { call } = request.exchange;
  const replay = createReplay(request.requests, plan.maxReplayBytes);
  const head = holdHead(request, () => !replay.isComplete);
  let reply: OriginReply | undefined;
  let isAnswering = false;
  let failure: unknown;
  try {
    reply = next({ ...request, requests: replay.open(), onHeaders: head.onHeaders, onTrailers: head.onTrailers });
    const first = await reply.next();
    isAnswering = true;
    head.commit();
    if (first.done) return undefined;
    yield first.value;
    let result = await reply.next();
    if (result.done) await remember(request, replay, first.value, plan);
    for (; !result.done; result = await reply.next()) yield result.value;
    return undefined;
  } catch (error) {
    const isOver = isAnswering || head.isCommitted || call.signal.aborted;
    if (isOver || !plan.codes.has(codeOf(error))) {
      head.commit();
      throw error;
    }
    failure = error;
  } finally {
    if (reply !== undefined) await leaveReply(reply);
  }
  for (const step of plan.steps) {
    const answer = await answerBy(step, next, request, replay, plan);
    if (answer === undefined) continue;
    plan.counters.add(step.kind);
    name(call, step.kind);
    yield* answer;
    return undefined;
  }
  plan.counters.add('missed');
  throw failure;
}

function name(call: Call, kind: FallbackStep['kind']): void {
  call.responseHeaders.set('x-fallback', kind);
}

/** The answer of one step; undefined when it has none. */
async function answerBy(
  step: FallbackStep,
  next: OriginCall,
  request: OriginRequest,
  replay: Replay,
  plan: FallbackPlan,
): Promise<Iterable<Uint8Array> | AsyncIterable<Uint8Array> | undefined> {
  if (step.kind === 'static') return step.messages;
  if (step.kind === 'other') return fromOther(step, next, request, replay);
  const key = await keyOf(request, replay, step.isShared, plan.clock);
  const found = key === undefined ? undefined : plan.cache.find(key, step.maxAgeMs);
  if (found === undefined) return undefined;
  request.exchange.call.responseHeaders.set('x-fallback-age-ms', String(Math.round(found.ageMs)));
  return [found.response];
}

/** Undefined when there is no other one, or when it fails, too, before it has sent anything. */
async function fromOther(
  { cluster, path }: FallbackStep & { kind: 'other' },
  next: OriginCall,
  request: OriginRequest,
  replay: Replay,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const target = cluster ?? request.cluster;
  // The endpoint here is one method: asked for another it would run the one that failed again.
  if (target === undefined || !replay.isReplayable) return undefined;
  const { call } = request.exchange;
  const head = holdHead(request, () => !replay.isComplete);
  const onHeaders: OriginRequest['onHeaders'] = (headers) => {
    // They may go out at once.
    if (!replay.isComplete) name(call, 'other');
    head.onHeaders(headers);
  };
  let reply: OriginReply | undefined;
  try {
    reply = next({
      ...request,
      ...{ cluster: target, path: path ?? request.path, requests: replay.open(), avoid: new Set() },
      ...{ onHeaders, onTrailers: head.onTrailers },
    });
    return goOn(reply, await reply.next(), head);
  } catch (error) {
    if (!(error instanceof AppError) || head.isCommitted) throw error;
    return undefined;
  }
}

async function* goOn(reply: OriginReply, first: IteratorResult<Uint8Array, undefined>, head: HeldHead) {
  try {
    head.commit();
    for (let result = first; !result.done; result = await reply.next()) yield result.value;
  } finally {
    await leaveReply(reply);
  }
}

/** Keeps the only response of a call as its last good one. */
async function remember(request: OriginRequest, replay: Replay, response: Uint8Array, plan: FallbackPlan) {
  for (const step of plan.steps) {
    if (step.kind !== 'cached') continue;
    const key = await keyOf(request, replay, step.isShared, plan.clock);
    if (key !== undefined) plan.cache.store(key, response);
  }
}

/** Undefined when the requests were not kept whole. A response is another caller's business only when it is shared. */
async function keyOf(
  { exchange: { call }, path }: OriginRequest,
  replay: Replay,
  isShared: boolean,
  clock: Clock,
): Promise<string | undefined> {
  if (!(await isWhole(call, replay, clock))) return undefined;
  return responseKey(path, isShared ? '' : callerOf(call), await Array.fromAsync(replay.open()));
}
