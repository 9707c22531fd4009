import { cancelledOutcome } from '../../workers/queue/cancel-tree.ts';
import type { JobQueue } from '../../workers/queue/job-queue.ts';
import { jsonDigest } from '../core/canonical-json.ts';
import type { Clock } from '../core/clock.ts';
import { invalidField, messageOf } from '../core/errors.ts';
import { newId } from '../core/ids.ts';
import type { Logger } from '../core/log.ts';
import { activeTraceparent } from '../core/telemetry/trace-parent.ts';
import type { RecordsStore } from '../stores/records/records-store.ts';
import { applyOutcome } from './apply-event.ts';
import { checkJob, type JobKindInfo, type JobSpec } from './check-job.ts';
import { requestIdReused, tooManyJobs } from './job-errors.ts';
import { createJobOutbox } from './job-outbox.ts';
import { createJobPublisher, type JobHook } from './job-publisher.ts';
import { runJobPump } from './job-pump.ts';
import { isTerminal, type JobRecord, type JobState } from './job-record.ts';
import { createJobSchedules, type JobSchedules } from './job-schedules.ts';
import { createJobStore } from './job-store.ts';
import { createWatchJob, type WatchJob } from './watch-job.ts';

export interface JobsOptions {
  readonly records: RecordsStore;
  readonly queue: JobQueue;
  readonly kinds: readonly JobKindInfo[];
  readonly clock: Clock;
  readonly log: Logger;
  /** Jobs that may wait or run at once, without their parts. Default 10,000. */
  readonly maxOpenJobs?: number;
  /** Events kept per job. Default 1,000. */
  readonly maxEvents?: number;
  /** How long a job is kept after its end, in ms. Default 30 days. */
  readonly retentionMs?: number;
  /** Pause between two sweeps of the outbox, in ms. Default 15,000. */
  readonly sweepIntervalMs?: number;
}

export interface CreateOptions {
  /** Idempotency key; empty = none. */
  readonly requestId?: string;
  /** Whose key it is: the same key of two owners stands for two jobs. */
  readonly owner?: string;
  readonly schedule?: string;
  readonly startByMs?: number;
}

export interface ListQuery {
  readonly kinds: ReadonlySet<string>;
  readonly states: ReadonlySet<JobState>;
  readonly labels: Readonly<Record<string, string>>;
  readonly includeParts: boolean;
  /** Id after which the page begins; undefined = the newest job. */
  readonly after: string | undefined;
  readonly pageSize: number;
}

export interface JobsPage {
  readonly jobs: readonly JobRecord[];
  /** Where the next page begins; undefined at the end. */
  readonly next: string | undefined;
}

/** Long work: stored first, then queued; events of workers come back into the records. */
export interface Jobs {
  /** Throws JOB_KIND_UNKNOWN, INVALID_FIELDS, REQUEST_ID_REUSED, TOO_MANY_JOBS. */
  create(spec: JobSpec, options?: CreateOptions): Promise<{ readonly job: JobRecord; readonly existed: boolean }>;
  /** Throws JOB_NOT_FOUND. */
  get(id: string): Promise<JobRecord>;
  /** Newest first. A page may be short though more follow, when few of many jobs match. */
  list(query: ListQuery): Promise<JobsPage>;
  /** The job after its end was stored; an ended one as it is. Throws JOB_NOT_FOUND. */
  cancel(id: string): Promise<JobRecord>;
  readonly watch: WatchJob;
  readonly schedules: JobSchedules;
  /** Runs the hook before a job of the kind is told to have succeeded. Register all before `start`. */
  onJobSucceeded(kind: string, hook: JobHook): void;
  /** Begins to carry events, to send what is unsent and to serve schedules. */
  start(): Promise<void>;
  close(): Promise<void>;
}

const maxRequestIdChars = 128;
/** Rows looked at for one page of a list. */
const maxScannedRows = 5_000;
const scanRows = 100;
const requestPollMs = 10;

export function createJobs(options: JobsOptions): Jobs {
  const { records, queue, clock, log, maxOpenJobs = 10_000 } = options;
  const kinds = new Map(options.kinds.map((kind) => [kind.name, kind]));
  const store = createJobStore(records, {
    maxEvents: options.maxEvents ?? 1_000,
    retentionMs: options.retentionMs ?? 30 * 24 * 3_600_000,
  });
  const stopping = new AbortController();
  let running: Promise<unknown> = Promise.resolve();

  const onEnded = (job: JobRecord) => {
    outbox.settle(job).catch((error: unknown) => {
      log.debug('ended job is settled by the next sweep', { job_id: job.id, error: messageOf(error) });
    });
  };
  const publisher = createJobPublisher({ store, clock, log, onEnded });
  const sweepIntervalMs = options.sweepIntervalMs ?? 15_000;
  const outbox = createJobOutbox({ store, queue, publisher, clock, log, sweepIntervalMs });

  const create: Jobs['create'] = async (spec, createOptions = {}) => {
    const { requestId = '', owner = '', schedule, startByMs } = createOptions;
    const { queueClass } = checkJob(spec, kinds, 'job');
    if (requestId.length > maxRequestIdChars || !requestId.isWellFormed()) {
      throw invalidField('request_id', `must be at most ${maxRequestIdChars} characters`);
    }
    const request = requestId === '' ? undefined : { key: `${owner}/${requestId}`, digest: jsonDigest(spec) };
    const earlier = request && (await findEarlier(request, requestId));
    if (earlier !== undefined) return { job: earlier, existed: true };
    if (store.openCount() >= maxOpenJobs) throw tooManyJobs(maxOpenJobs);
    const createMs = clock.now();
    const record: JobRecord = {
      id: newId(createMs),
      ...spec,
      queueClass,
      state: 'queued',
      attempts: [],
      createMs,
      traceparent: activeTraceparent(),
      fence: '0',
      attempt: 0,
      sequence: 0,
      applied: '0-0',
      ...(request === undefined ? {} : { requestKey: request.key }),
      ...(schedule === undefined ? {} : { schedule }),
      ...(startByMs === undefined ? {} : { startByMs }),
    };
    if (!(await store.create({ record, events: [{ state: 'queued' }], atMs: createMs }, request))) {
      // Another create with the same request id was faster.
      const job = request && (await findEarlier(request, requestId));
      if (job !== undefined) return { job, existed: true };
      return create(spec, createOptions);
    }
    await outbox.send(record).catch((error: unknown) => {
      log.warn('job is stored, and queued when the queue is back', { job_id: record.id, error: messageOf(error) });
    });
    return { job: { ...record, sequence: 1 }, existed: false };
  };

  /** The job that a request id stands for; waits for a create in progress. Throws REQUEST_ID_REUSED. */
  const findEarlier = async (request: { key: string; digest: string }, requestId: string) => {
    const row = await store.findRequest(request.key);
    if (row === undefined) return undefined;
    if (row.digest !== request.digest) throw requestIdReused(requestId, `jobs/${row.id}`);
    const job = await store.find(row.id);
    if (job === undefined) await clock.sleep(requestPollMs, stopping.signal);
    return job;
  };

  const cancel = async (id: string): Promise<JobRecord> => {
    let ends = false;
    const job = await store.update(id, (record) => {
      // Work that is done and only waits to be published counts as ended.
      ends = !isTerminal(record.state) && record.publishing === undefined;
      return ends ? applyOutcome(record, cancelledOutcome('JOB_CANCELLED'), clock.now(), false) : undefined;
    });
    if (job === undefined) return store.get(id);
    if (ends) onEnded(job);
    return job;
  };

  const list = async ({ after, pageSize, ...filter }: ListQuery): Promise<JobsPage> => {
    const jobs: JobRecord[] = [];
    let before = after;
    for (let scanned = 0; scanned < maxScannedRows; scanned += scanRows) {
      const rows = await store.scan(before, scanRows);
      for (const row of rows) {
        if (matches(row, filter)) jobs.push(row);
        before = row.id;
        if (jobs.length === pageSize) {
          const isLast = rows.length < scanRows && row === rows.at(-1);
          return { jobs, next: isLast ? undefined : before };
        }
      }
      if (rows.length < scanRows) return { jobs, next: undefined };
    }
    return { jobs, next: before };
  };

  const schedules = createJobSchedules({
    records,
    queue,
    kinds,
    clock,
    log,
    makeJob: async (schedule, slotMs) => {
      const { id, template, startWithinMs } = schedule;
      const { job } = await create(template, {
        owner: 'schedules',
        requestId: `${id}/${slotMs}`,
        schedule: id,
        ...(startWithinMs === undefined ? {} : { startByMs: slotMs + startWithinMs }),
      });
      return job;
    },
  });

  return {
    create,
    get: (id) => store.get(id),
    list,
    cancel,
    watch: createWatchJob(store, clock),
    schedules,
    onJobSucceeded: (kind, hook) => publisher.on(kind, hook),
    start: async () => {
      await store.countOpen();
      schedules.start();
      const pump = runJobPump({ store, queue, publisher, clock, log, onEnded }, stopping.signal);
      running = Promise.allSettled([pump, outbox.run(stopping.signal)]);
    },
    close: async () => {
      stopping.abort();
      await running;
      await publisher.close();
    },
  };
}

function matches(job: JobRecord, filter: Omit<ListQuery, 'after' | 'pageSize'>): boolean {
  if (job.parent !== undefined && !filter.includeParts) return false;
  if (filter.kinds.size > 0 && !filter.kinds.has(job.kind)) return false;
  if (filter.states.size > 0 && !filter.states.has(job.state)) return false;
  return Object.entries(filter.labels).every(([key, value]) => job.labels[key] === value);
}
