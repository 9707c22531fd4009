import type { Answer, Call, CallOutcome, CallSession } from '../../../server/core/call.ts';
import type { Clock } from '../../../server/core/clock.ts';
import type { AppError } from '../../../server/core/errors.ts';
import { EndedCall } from '../contract/ended-call.ts';
import { engineClosed } from '../filter-errors.ts';
import type { FilterFaults } from '../filter-faults.ts';
import type { FilterMetrics } from '../filter-metrics.ts';
import type { LoadedFilter } from '../load/loaded-filter.ts';
import type { Chain, RunningCall, Slot, Snapshot } from '../set/snapshot.ts';
import { type CallRecords, lineOf } from './call-record.ts';
import { ChainRun } from './chain-run.ts';
import { firstSkip, Status } from './filter-status.ts';
import { Follower, type MessageHook } from './follower.ts';
import { Invocation } from './invocation.ts';
import {
  errorPhase,
  inboundPhase,
  outboundPhase,
  type Phase,
  requestMessagePhase,
  responseMessagePhase,
} from './phase.ts';
import { holdRequestBody } from './request-body.ts';
import { addAfter, recordingSpan } from './span-event.ts';

interface SessionDeps {
  readonly clock: Clock;
  readonly records: CallRecords;
  readonly faults: FilterFaults;
  readonly metrics: FilterMetrics;
  /** The set that serves new calls now; without it calls of long streams stay with theirs. */
  readonly current?: () => Snapshot;
}

/**
 * One call on one snapshot: its run, its record and its hooks in one object, because every byte that lives as long as
 * a call costs the garbage collector. Hooks that a chain does not have are absent: see `hookSets`.
 */
class FilterSession extends ChainRun implements CallSession, RunningCall {
  declare inbound?: NonNullable<CallSession['inbound']>;
  declare requestMessage?: NonNullable<CallSession['requestMessage']>;
  declare responseMessage?: NonNullable<CallSession['responseMessage']>;
  declare outbound?: NonNullable<CallSession['outbound']>;
  declare error?: NonNullable<CallSession['error']>;
  readonly chain: Chain;
  place = -1;
  readonly #snapshot: Snapshot;
  readonly #deps: SessionDeps;
  readonly #span: ReturnType<typeof recordingSpan>;
  #hasEnded = false;
  #follower: Follower | undefined;
  #isStatusNear = false;

  constructor(call: Call, chain: Chain, snapshot: Snapshot, deps: SessionDeps, span: ReturnType<typeof recordingSpan>) {
    super(call, deps.records.take(chain.account, call.path), deps.clock, deps.faults);
    this.chain = chain;
    this.#snapshot = snapshot;
    this.#deps = deps;
    this.#span = span;
    snapshot.enter(this);
  }

  end(outcome: CallOutcome): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const { call, chain, record } = this;
    const { clock, metrics, records } = this.#deps;
    try {
      this.beforeStatus();
      this.#runEndHooks(outcome);
      for (const trial of chain.trials) trial.ended(call, outcome);
    } finally {
      this.endRun();
      record.callId = call.id;
      record.code = outcome.code;
      record.durationMs = outcome.durationMs;
      record.startMs = clock.now() - outcome.durationMs;
      metrics.ended(record, chain);
      records.keep(record);
      this.#follower?.end();
      this.#snapshot.leave(this);
    }
  }

  /** The slots of a message hook: those of the chain, or of the set that serves now where their filters follow. */
  slotsOf(hook: MessageHook): readonly Slot[] {
    if (!this.chain.follows || !this.#snapshot.isRetired || this.#deps.current === undefined) return this.chain[hook];
    this.#follower ??= new Follower(this.call, this.chain);
    return this.#follower.slotsOf(hook, this.#deps.current());
  }

  /** The last things before the status, once: the filters' status hooks, then the span's event. */
  beforeStatus(): void {
    if (this.#isStatusNear) return;
    this.#isStatusNear = true;
    const { call, chain, record } = this;
    for (const slot of chain.status) {
      if (!this.#appliedAtEnd(slot)) continue;
      const { filter } = slot;
      try {
        const result = filter.onStatus?.(
          call,
          lineOf(record),
          new Invocation(filter, undefined, this.#deps.clock.monotonic()),
        );
        if (result instanceof Promise) result.catch((error: unknown) => this.#hookFailed(filter, error));
      } catch (error) {
        this.#hookFailed(filter, error);
      }
    }
    if (this.#span?.isRecording()) this.#span.addEvent('filters', { filters: lineOf(record) });
  }

  /** Runs the end hooks of the filters that applied; each hook's failure is its own. */
  #runEndHooks(outcome: CallOutcome): void {
    const { call, chain, record } = this;
    if (chain.end.length === 0 && !this.hasShadows) return;
    const ended = new EndedCall(outcome, record);
    // One reading for all: end hooks are not timed.
    const nowMs = this.#deps.clock.monotonic();
    for (const slot of chain.end) {
      if (!this.#appliedAtEnd(slot)) continue;
      const { filter } = slot;
      try {
        const result = filter.onEnd?.(call, ended, new Invocation(filter, undefined, nowMs));
        if (result instanceof Promise) result.catch((error: unknown) => this.#hookFailed(filter, error));
      } catch (error) {
        this.#hookFailed(filter, error);
      }
    }
    if (this.hasShadows) this.endShadows(ended);
  }

  /** True when the filter applied: outbound and error filters decide it now if they were not reached. */
  #appliedAtEnd(slot: Slot): boolean {
    const { filter, index } = slot;
    const isLate = filter.type === 'outbound' || filter.type === 'error';
    if (this.record.status[index] === Status.pending && isLate) this.takesPart(slot, true);
    const status = this.record.status[index] ?? Status.pending;
    return status !== Status.pending && status < firstSkip;
  }

  #hookFailed(filter: LoadedFilter, error: unknown): void {
    this.#deps.faults.failed(filter, Status.threw, this.call, error, false);
  }
}

function runInbound(this: FilterSession): Answer | undefined | Promise<Answer | undefined> {
  return this.advance(inboundPhase, this.chain.inbound, 0, undefined) as Answer | undefined;
}

/** A message hook of a stream is gone as soon as every filter it is for is ruled out: other messages cost nothing. */
function runMessage(session: FilterSession, hook: MessageHook, phase: Phase, message: unknown) {
  const slots = session.slotsOf(hook);
  const result = session.advance(phase, slots, 0, message);
  if (session.call.kind !== 'unary' && slots.every((slot) => session.isRuledOut(slot))) {
    Object.defineProperty(session, hook, { value: undefined, writable: true });
  }
  return result;
}

function runRequestMessage(this: FilterSession, message: unknown): unknown {
  return runMessage(this, 'requestMessage', requestMessagePhase, message);
}

function runResponseMessage(this: FilterSession, message: unknown): unknown {
  return runMessage(this, 'responseMessage', responseMessagePhase, message);
}

function runOutbound(this: FilterSession): void | Promise<void> {
  const result = this.advance(outboundPhase, this.chain.outbound, 0, undefined) as Promise<void> | undefined;
  return addAfter(result, this);
}

function runError(this: FilterSession, error: AppError): AppError | Promise<AppError> {
  return addAfter(this.advance(errorPhase, this.chain.error, 0, error) as AppError | Promise<AppError>, this);
}

/** The hooks of a chain as bits, for its session's class. */
function hooksOf(chain: Chain, hasSpan: boolean): number {
  const isStatusSeen = hasSpan || chain.status.length > 0;
  return (
    (chain.inbound.length > 0 ? 1 : 0) |
    (chain.requestMessage.length > 0 ? 2 : 0) |
    (chain.responseMessage.length > 0 ? 4 : 0) |
    (chain.outbound.length > 0 || isStatusSeen ? 8 : 0) |
    (chain.error.length > 0 || isStatusSeen ? 16 : 0)
  );
}

/** A class per set of hooks: the sessions of one server are of few shapes, and none carries closures. */
const hookSets: (typeof FilterSession | undefined)[] = [];

function classWith(hooks: number): typeof FilterSession {
  const known = hookSets[hooks];
  if (known !== undefined) return known;
  class Shaped extends FilterSession {}
  const { prototype } = Shaped;
  if (hooks & 1) prototype.inbound = runInbound;
  if (hooks & 2) prototype.requestMessage = runRequestMessage;
  if (hooks & 4) prototype.responseMessage = runResponseMessage;
  if (hooks & 8) prototype.outbound = runOutbound;
  if (hooks & 16) prototype.error = runError;
  hookSets[hooks] = Shaped;
  return Shaped;
}

/** The session of a call on `snapshot`, with only the hooks that its chain has; it leaves the snapshot at the end. */
export function createSession(call: Call, chain: Chain, snapshot: Snapshot, deps: SessionDeps): CallSession {
  const span = recordingSpan();
  const Session = classWith(hooksOf(chain, span !== undefined));
  const session = new Session(call, chain, snapshot, deps, span);
  if (chain.body.length > 0) holdRequestBody(session, call, chain, session);
  return session;
}

/** The session of a call that arrives after the engine closed: refused, never let through. */
export function closedSession(): CallSession {
  return {
    inbound: () => {
      throw engineClosed();
    },
  };
}
