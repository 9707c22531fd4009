import type { ChildNote } from '../../workers/queue/job-ledger.ts';
import type { JobQueue } from '../../workers/queue/job-queue.ts';
import type { QueueEvent } from '../../workers/queue/queue-events.ts';
import type { Clock } from '../core/clock.ts';
import { isPermanent } from '../core/codes.ts';
import { AppError, messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { applyEvent, comparePositions } from './apply-event.ts';
import type { JobPublisher } from './job-publisher.ts';
import { isTerminal, type JobRecord } from './job-record.ts';
import type { JobStore } from './job-store.ts';
import { partsProgress } from './parts-progress.ts';

/** What carries events of workers into records. */
export interface JobPumpDeps {
  readonly store: JobStore;
  readonly queue: JobQueue;
  readonly publisher: JobPublisher;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called with a job that has ended. */
  readonly onEnded: (job: JobRecord) => void;
}

const errorPauseMs = 500;

/**
 * Carries the events of workers into the job records until the signal. The place in the stream is stored after
 * its events, and a record refuses an event that it has seen, so each is applied once also over a crash.
 */
export async function runJobPump(deps: JobPumpDeps, signal: AbortSignal): Promise<void> {
  const { store, queue, clock, log } = deps;
  const cursor = await store.readCursor();
  for await (const batch of queue.events(cursor, signal)) {
    while (!signal.aborted) {
      try {
        await applyBatch(deps, batch);
        await store.writeCursor(batch.at(-1)?.position ?? cursor);
        break;
      } catch (error) {
        // A store that refuses (a full disk) is asked again: skipping would lose outcomes until the next sweep.
        log.error('job events could not be stored', { events: batch.length, error: messageOf(error) });
        await clock.sleep(errorPauseMs, signal).catch(() => {});
      }
    }
  }
}

/** Families (a job and its parts) side by side, the events of one family in order. */
async function applyBatch(deps: JobPumpDeps, batch: readonly QueueEvent[]): Promise<void> {
  const families = Map.groupBy(batch, (event) => event.jobId.split('.', 1)[0]);
  await Promise.all([...families.values()].map((events) => applyFamily(deps, events)));
}

async function applyFamily(deps: JobPumpDeps, events: readonly QueueEvent[]): Promise<void> {
  // Parts are noted in long runs: those may be stored side by side.
  for (let from = 0; from < events.length; ) {
    let to = from + 1;
    if (events[from]?.type === 'added') while (events[to]?.type === 'added') to++;
    await Promise.all(events.slice(from, to).map((event) => guarded(deps, event, applyOne(deps, event))));
    if (to - from > 1 || events[from]?.type === 'added') await countParts(deps, events.slice(from, to));
    from = to;
  }
}

/** An event that can never be stored must not hold up those behind it; anything else is tried again. */
async function guarded({ log }: JobPumpDeps, { jobId, position }: QueueEvent, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof AppError) || !isPermanent(error.code)) throw error;
    log.error('job event cannot be stored', { job_id: jobId, position, error: messageOf(error) });
  }
}

async function applyOne(deps: JobPumpDeps, event: QueueEvent): Promise<void> {
  const { store, publisher, onEnded } = deps;
  const note = event.type === 'added' ? event.child : event.type === 'started' ? event.start.child : undefined;
  if (note !== undefined && (await store.find(event.jobId)) === undefined) await createPart(deps, event, note);
  let changed = false;
  const job = await store.update(event.jobId, (record) => {
    const change = applyEvent(record, event, publisher.has(record.kind));
    changed = change !== undefined;
    return change;
  });
  if (!changed || job === undefined) return;
  if (job.publishing !== undefined) publisher.push(job.id);
  if (isTerminal(job.state)) {
    onEnded(job);
    if (job.parent !== undefined) await countEndedPart(deps, job.parent, event.atMs);
  }
}

/** A part gets a record of its own when its parent has one. */
async function createPart({ store }: JobPumpDeps, event: QueueEvent, note: ChildNote): Promise<void> {
  const parent = await store.find(note.parent);
  if (parent === undefined) return;
  await store.create({
    record: {
      id: event.jobId,
      kind: note.kind,
      queueClass: note.queueClass,
      params: note.params ?? {},
      labels: parent.labels,
      priority: note.priority,
      state: 'queued',
      attempts: [],
      createMs: event.atMs,
      parent: note.parent,
      label: note.label,
      traceparent: parent.traceparent,
      fence: '0',
      attempt: 0,
      sequence: 0,
      // Of a part that is first heard of by its start, that start is still to be applied.
      applied: event.type === 'added' ? event.position : '0-0',
    },
    events: [{ state: 'queued' }],
    atMs: event.atMs,
  });
}

async function countParts({ store }: JobPumpDeps, events: readonly QueueEvent[]): Promise<void> {
  const added = events.flatMap((event) => (event.type === 'added' ? [event] : []));
  for (const [parent, notes] of Map.groupBy(added, (event) => event.child.parent)) {
    await store.update(parent, (record) => {
      if (isTerminal(record.state)) return undefined;
      const { upTo = '0-0', ...parts } = record.parts ?? { total: 0, done: 0, baseFraction: 0 };
      // Others were counted before a crash, or by another server.
      const fresh = notes.filter(({ position }) => comparePositions(position, upTo) > 0);
      const newest = fresh.at(-1)?.position;
      if (newest === undefined) return undefined;
      const baseFraction = record.progress?.fraction ?? 0;
      return {
        record: { ...record, parts: { ...parts, total: parts.total + fresh.length, baseFraction, upTo: newest } },
        events: [],
        atMs: 0,
      };
    });
  }
}

/** While a job waits for its parts, their ends are its progress. */
async function countEndedPart({ store }: JobPumpDeps, parent: string, atMs: number): Promise<void> {
  await store.update(parent, (record) => {
    if (record.parts === undefined || isTerminal(record.state)) return undefined;
    const parts = { ...record.parts, done: Math.min(record.parts.total, record.parts.done + 1) };
    const progress = partsProgress(parts, record.progress);
    return { record: { ...record, parts, progress }, events: [{ progress }], atMs };
  });
}
