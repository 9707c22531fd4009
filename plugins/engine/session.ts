import type { Answer, Call, CallOutcome, CallSession } from '../../server/core/call.ts';
import type { Clock } from '../../server/core/clock.ts';
import type { AppError } from '../../server/core/errors.ts';
import { type CallRecord, type CallRecords, lineOf } from './call-record.ts';
import { ChainRun } from './chain-run.ts';
import { engineClosed } from './filter-errors.ts';
import type { FilterFaults } from './filter-faults.ts';
import type { FilterMetrics } from './filter-metrics.ts';
import { Status } from './filter-status.ts';
import { Invocation } from './invocation.ts';
import type { LoadedFilter } from './loaded-filter.ts';
import {
  errorPhase,
  inboundPhase,
  outboundPhase,
  type Phase,
  requestMessagePhase,
  responseMessagePhase,
} from './phase.ts';
import { holdRequestBody } from './request-body.ts';
import type { Chain, Slot, Snapshot } from './snapshot.ts';
import { createSpanEvent } from './span-event.ts';
import { appliedAtEnd, createStatusHooks } from './status-hooks.ts';

export interface SessionDeps {
  readonly clock: Clock;
  readonly records: CallRecords;
  readonly faults: FilterFaults;
  readonly metrics: FilterMetrics;
}

/** Runs the end hooks of the filters that applied; each hook's failure is its own. */
function runEndHooks(
  call: Call,
  outcome: CallOutcome,
  chain: Chain,
  run: ChainRun,
  record: CallRecord,
  deps: SessionDeps,
) {
  if (chain.end.length === 0 && !run.hasShadows) return;
  let line: string | undefined;
  const filterLine = () => {
    line ??= lineOf(record);
    return line;
  };
  const filtered = { ...outcome, filterLine };
  for (const slot of chain.end) {
    if (!appliedAtEnd(slot, run, record)) continue;
    const { filter } = slot;
    try {
      const result = filter.onEnd?.(call, filtered, new Invocation(filter, undefined));
      if (result instanceof Promise) result.catch((error: unknown) => endFailed(filter, call, error, deps));
    } catch (error) {
      endFailed(filter, call, error, deps);
    }
  }
  run.endShadows(filtered);
  // The record is reused for another call one day: a filter that kept the outcome must not read that one.
  filterLine();
}

function endFailed(filter: LoadedFilter, call: Call, error: unknown, { faults }: SessionDeps): void {
  faults.failed(filter, Status.threw, call, error, false);
}

type MessageHook = 'requestMessage' | 'responseMessage';

/** A message hook that is gone as soon as every filter it is for is ruled out: the other messages cost nothing. */
function addMessageHook(session: CallSession, hook: MessageHook, phase: Phase, slots: readonly Slot[], run: ChainRun) {
  let isFirst = true;
  session[hook] = (message) => {
    const result = run.advance(phase, slots, 0, message);
    if (isFirst && slots.every((slot) => run.isRuledOut(slot))) delete session[hook];
    isFirst = false;
    return result;
  };
}

/** The session of a call on `snapshot`, with only the hooks that its chain has; it leaves the snapshot at the end. */
export function createSession(call: Call, chain: Chain, snapshot: Snapshot, deps: SessionDeps): CallSession {
  const record = deps.records.take(chain.account, call.path);
  const run = new ChainRun(call, record, deps.clock, deps.faults);
  const beforeStatus = createStatusHooks(call, chain, run, record, deps.faults, createSpanEvent(record));
  snapshot.enter();
  let hasEnded = false;

  const session: CallSession = {
    end: (outcome) => {
      if (hasEnded) return;
      hasEnded = true;
      try {
        beforeStatus?.add();
        runEndHooks(call, outcome, chain, run, record, deps);
        for (const trial of chain.trials) trial.ended(call, outcome);
      } finally {
        run.end();
        record.callId = call.id;
        record.code = outcome.code;
        record.durationMs = outcome.durationMs;
        record.startMs = deps.clock.now() - outcome.durationMs;
        deps.metrics.ended(record, chain.slots);
        deps.records.keep(record);
        snapshot.leave();
      }
    },
  };
  if (chain.inbound.length > 0) {
    session.inbound = () => run.advance(inboundPhase, chain.inbound, 0, undefined) as Answer | undefined;
  }
  if (chain.requestMessage.length > 0) {
    addMessageHook(session, 'requestMessage', requestMessagePhase, chain.requestMessage, run);
  }
  if (chain.responseMessage.length > 0) {
    addMessageHook(session, 'responseMessage', responseMessagePhase, chain.responseMessage, run);
  }
  if (chain.body.length > 0) holdRequestBody(session, call, chain, run);
  // The last thing before the status are the filters' status hooks and the span event: a span ends before `end`.
  if (chain.outbound.length > 0 || beforeStatus !== undefined) {
    session.outbound = () => {
      const result = run.advance(outboundPhase, chain.outbound, 0, undefined) as Promise<void> | undefined;
      return beforeStatus === undefined ? result : beforeStatus.addAfter(result);
    };
  }
  if (chain.error.length > 0 || beforeStatus !== undefined) {
    session.error = (error) => {
      const result = run.advance(errorPhase, chain.error, 0, error) as AppError | Promise<AppError>;
      return beforeStatus === undefined ? result : beforeStatus.addAfter(result);
    };
  }
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
