import type { JobProgress } from '../../workers/queue/job-kind.ts';
import type { JobOutcome } from '../../workers/queue/job-outcome.ts';
import type { QueueEvent } from '../../workers/queue/queue-events.ts';
import type { Usage } from '../../workers/queue/usage-meter.ts';
import { type AttemptRecord, isTerminal, type JobEventBody, type JobRecord, type StageRecord } from './job-record.ts';
import type { JobChange } from './job-store.ts';
import { partsProgress } from './parts-progress.ts';

const maxAttempts = 20;

/** Why an attempt ended that was not the last, as shown in JobAttempt.end_reason. */
const leaveReasons = { lost: 'WORKER_LOST', parked: 'WAITS_FOR_PARTS', released: 'WORKER_STOPPING' } as const;

/**
 * The state machine: what one queue event makes of a job. Undefined when it changes nothing: the job has ended,
 * the event was applied before, or it comes from an attempt that another one has overtaken.
 * `publishes` says that hooks must run before a success may be told.
 */
export function applyEvent(record: JobRecord, event: QueueEvent, publishes: boolean): JobChange | undefined {
  if (isTerminal(record.state) || record.publishing !== undefined) return undefined;
  if (comparePositions(event.position, record.applied) <= 0 || event.fence < BigInt(record.fence)) return undefined;
  const seen = {
    ...record,
    applied: event.position,
    fence: String(event.fence),
    attempt: Math.max(record.attempt, event.attempt),
  };
  const { atMs } = event;
  switch (event.type) {
    case 'added':
      return undefined;
    case 'started':
      return start(seen, {
        number: event.attempt,
        worker: event.start.worker,
        startMs: atMs,
        fence: String(event.fence),
      });
    case 'progress': {
      const progress = afterParts(seen, event.progress);
      return {
        record: { ...seen, progress, ...stagesAfter(seen, progress.stage, atMs) },
        events: [{ progress }],
        atMs,
      };
    }
    case 'left': {
      const { why } = event.reason;
      const left = endAttempt(
        seen,
        why === 'retry' ? event.reason.reason : leaveReasons[why],
        why === 'lost' ? undefined : atMs,
        event.reason.why === 'lost' ? undefined : event.reason.usage,
      );
      // A parked job goes on in its parts; a lost one starts again in the same breath.
      if (why === 'parked') return { ...withUnserved(left.record, left.events, event.reason.unserved), atMs };
      if (why === 'lost') return { ...left, atMs };
      return { record: { ...left.record, state: 'queued' }, events: [...left.events, { state: 'queued' }], atMs };
    }
    case 'finished':
      return applyOutcome(seen, event.outcome, atMs, publishes);
  }
}

/** What an outcome makes of a job that has not ended. */
export function applyOutcome(record: JobRecord, outcome: JobOutcome, atMs: number, publishes: boolean): JobChange {
  const { usage } = outcome;
  if (outcome.state !== 'succeeded') {
    const { record: ended, events } = endAttempt(record, outcome.error.reason, atMs, usage);
    return end({ ...ended, error: outcome.error }, outcome.state, events, atMs);
  }
  const { record: ended, events } = endAttempt({ ...record, result: outcome.result }, undefined, atMs, usage);
  return publishes
    ? { record: { ...ended, publishing: { failures: 0 } }, events, atMs }
    : end(ended, 'succeeded', events, atMs);
}

/** Puts a job in a terminal state. */
export function end(
  record: JobRecord,
  state: JobRecord['state'],
  events: readonly JobEventBody[],
  atMs: number,
): JobChange {
  const { publishing: _done, heldBy: _free, ...rest } = record;
  return { record: { ...rest, state, endMs: atMs }, events: [...events, { state }], atMs };
}

function start(record: JobRecord, attempt: AttemptRecord): JobChange {
  const attempts = [...record.attempts, attempt].slice(-maxAttempts);
  return {
    record: { ...record, state: 'running', startMs: record.startMs ?? attempt.startMs, attempts },
    events: [...(record.state === 'running' ? [] : [{ state: 'running' as const }]), { attempt }],
    atMs: attempt.startMs,
  };
}

/** Ends the newest attempt, if one runs. */
function endAttempt(
  record: JobRecord,
  endReason: string | undefined,
  endMs: number | undefined,
  usage?: Usage,
): { record: JobRecord; events: JobEventBody[] } {
  const last = record.attempts.at(-1);
  if (last === undefined || last.endMs !== undefined || last.endReason !== undefined) return { record, events: [] };
  const ended = {
    ...last,
    ...(endMs === undefined ? {} : { endMs }),
    ...(endReason === undefined ? {} : { endReason }),
    ...(usage === undefined ? {} : { usage }),
  };
  const after = {
    ...record,
    attempts: [...record.attempts.slice(0, -1), ended],
    ...(usage === undefined ? {} : { usage: addUsage(record.usage, usage) }),
    ...(record.stages === undefined || endMs === undefined ? {} : { stages: endStage(record.stages, endMs) }),
  };
  return { record: after, events: [{ attempt: ended }] };
}

function addUsage(sum: Usage = { cpuMs: 0, wallMs: 0, peakRssBytes: 0 }, more: Usage): Usage {
  return {
    cpuMs: sum.cpuMs + more.cpuMs,
    wallMs: sum.wallMs + more.wallMs,
    peakRssBytes: Math.max(sum.peakRssBytes, more.peakRssBytes),
  };
}

const maxStages = 32;

function stagesAfter({ stages = [] }: JobRecord, stage: string, atMs: number): { stages?: readonly StageRecord[] } {
  const last = stages.at(-1);
  if (stage === '' || (last?.stage === stage && last.endMs === undefined)) return {};
  return { stages: [...endStage(stages, atMs), { stage, startMs: atMs }].slice(-maxStages) };
}

function endStage(stages: readonly StageRecord[], endMs: number): readonly StageRecord[] {
  const last = stages.at(-1);
  return last === undefined || last.endMs !== undefined ? stages : [...stages.slice(0, -1), { ...last, endMs }];
}

/** Order of stream positions `ms-number`. */
export function comparePositions(a: string, b: string): number {
  const [aMs = 0, aNumber = 0] = a.split('-').map(Number);
  const [bMs = 0, bNumber = 0] = b.split('-').map(Number);
  return aMs - bMs || aNumber - bNumber;
}

/** Tells of parts that no worker takes at this moment. */
function withUnserved(record: JobRecord, events: readonly JobEventBody[], unserved: readonly string[] = []) {
  if (record.parts === undefined || (unserved.length === 0 && record.parts.unserved === undefined)) {
    return { record, events };
  }
  const parts = { ...record.parts, unserved };
  const progress = partsProgress(parts, record.progress);
  return { record: { ...record, parts, progress }, events: [...events, { progress }] };
}

/** A job that waited for its parts runs again from its start: what it then reports must not undo what they did. */
function afterParts({ parts, progress }: JobRecord, report: JobProgress): JobProgress {
  if (parts === undefined || progress === undefined) return report;
  return { ...report, fraction: Math.max(report.fraction, progress.fraction) };
}
