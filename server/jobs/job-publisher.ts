import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { failureOf } from '../../workers/queue/job-outcome.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { contextOfTraceparent } from '../core/telemetry/trace-parent.ts';
import { end } from './apply-event.ts';
import type { JobRecord } from './job-record.ts';
import type { JobStore } from './job-store.ts';

/**
 * Publishes the result of a job (to the manifest, the ranking …) before the job is told to have succeeded.
 * Must be idempotent: it runs again after a failure and after a crash of the server.
 */
export type JobHook = (job: JobRecord) => Promise<void>;

/** Runs hooks between the work of a job and its success. */
export interface JobPublisher {
  /** Several hooks of one kind run one after the other. */
  on(kind: string, hook: JobHook): void;
  /** True when jobs of the kind are published. */
  has(kind: string): boolean;
  /** Publishes soon; a job that is being published already is left alone. */
  push(id: string): void;
  /** Waits for hooks that run. */
  close(): Promise<void>;
}

interface JobPublisherDeps {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called with a job that has ended. */
  readonly onEnded: (job: JobRecord) => void;
}

/** Runs the hooks in one span `publish <kind>` that continues the trace of the call that created the job. */
function runHooks(job: JobRecord, hooks: readonly JobHook[]): Promise<void> {
  const options = { kind: SpanKind.CONSUMER, attributes: { 'job.id': job.id } };
  const parent = contextOfTraceparent(job.traceparent);
  return trace.getTracer('showrunner').startActiveSpan(`publish ${job.kind}`, options, parent, async (span) => {
    try {
      for (const hook of hooks) await hook(job);
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
      throw error;
    } finally {
      span.end();
    }
  });
}

const maxParallel = 4;
const maxFailures = 8;
const baseBackoffMs = 500;
const maxBackoffMs = 60_000;

/** Runs the hooks of finished jobs, a few at once. The outbox pushes again what a crash or close left behind. */
export function createJobPublisher({ store, clock, log, onEnded }: JobPublisherDeps): JobPublisher {
  const hooks = new Map<string, JobHook[]>();
  const waiting = new Set<string>();
  const busy = new Map<string, Promise<void>>();
  /** Jobs whose hook failed, until their next try. */
  const resting = new Set<string>();
  let closed = false;

  const pump = () => {
    for (const id of waiting) {
      if (closed || busy.size >= maxParallel) return;
      if (busy.has(id)) continue;
      waiting.delete(id);
      const work = publish(id)
        .catch((error: unknown) => log.error('job could not be published', { job_id: id, error: messageOf(error) }))
        .finally(() => {
          busy.delete(id);
          pump();
        });
      busy.set(id, work);
    }
  };

  const publish = async (id: string): Promise<void> => {
    const job = await store.find(id);
    if (job?.publishing === undefined) return;
    try {
      await runHooks(job, hooks.get(job.kind) ?? []);
    } catch (error) {
      await retryOrFail(job, error);
      return;
    }
    const done = await store.update(id, (record) =>
      record.publishing === undefined ? undefined : end(record, 'succeeded', [], clock.now()),
    );
    if (done !== undefined) onEnded(done);
  };

  const retryOrFail = async (job: JobRecord, error: unknown): Promise<void> => {
    const failure = failureOf(error);
    const failures = (job.publishing?.failures ?? 0) + 1;
    log.error('job hook failed', { job_id: job.id, job_kind: job.kind, failures, error });
    const isFinal = failure.class === 'user' || failures >= maxFailures;
    const updated = await store.update(job.id, (record) => {
      if (record.publishing === undefined) return undefined;
      if (isFinal) return end({ ...record, error: failure }, 'failed', [], clock.now());
      return { record: { ...record, publishing: { failures } }, events: [], atMs: clock.now() };
    });
    if (isFinal && updated !== undefined) onEnded(updated);
    if (isFinal) return;
    resting.add(job.id);
    clock.schedule(Math.min(maxBackoffMs, baseBackoffMs * 2 ** (failures - 1)), () => {
      resting.delete(job.id);
      push(job.id);
    });
  };

  const push = (id: string) => {
    if (resting.has(id)) return;
    waiting.add(id);
    pump();
  };
  return {
    on: (kind, hook) => void hooks.set(kind, [...(hooks.get(kind) ?? []), hook]),
    has: (kind) => hooks.has(kind),
    push,
    close: async () => {
      closed = true;
      await Promise.all(busy.values());
    },
  };
}
