import { jsonDigest } from '../core/canonical-json.ts';
import type { Clock } from '../core/clock.ts';
import { invalidField } from '../core/errors.ts';
import { newId } from '../core/ids.ts';
import { activeTraceparent } from '../core/telemetry/trace-parent.ts';
import { checkJob, type JobKindInfo } from './check-job.ts';
import type { Created, CreateOptions, Sla } from './create-job-options.ts';
import { type JobGate, maxWaiting } from './gate/job-gate.ts';
import type { JobLimitsStore } from './gate/job-limits-store.ts';
import { jobNotEnded, requestIdReused, tooManyJobs, tooManyRunsWait } from './job-errors.ts';
import { isTerminal, type JobRecord } from './job-record.ts';
import type { JobStore } from './job-store.ts';
import type { JobAdmission, Jobs } from './jobs.ts';
import { workflowKind } from './workflows/workflow.ts';
import type { Workflows } from './workflows/workflows.ts';

interface NewJobsDeps {
  readonly store: JobStore;
  readonly kinds: ReadonlyMap<string, JobKindInfo>;
  readonly admissions: ReadonlyMap<string, JobAdmission>;
  readonly gate: Pick<JobGate, 'waitingOf'>;
  readonly limits: Pick<JobLimitsStore, 'applied'>;
  readonly workflows: Pick<Workflows, 'prepare'>;
  readonly clock: Clock;
  /** Jobs that may wait or run at once, without their parts. */
  readonly maxOpenJobs: number;
  /** Ends what waits for a create of the same request id. */
  readonly signal: AbortSignal;
  /** Takes a job that was just stored on its way. */
  readonly onStored: (job: JobRecord) => Promise<void>;
}

const maxRequestIdChars = 128;
const requestPollMs = 10;

interface NewJobs extends Pick<Jobs, 'create' | 'restart'> {
  /** The job that the request id stands for already; undefined for none. Throws REQUEST_ID_REUSED. */
  findEarlier(content: unknown, options: CreateOptions): Promise<Created | undefined>;
}

/** Makes jobs: checked, stored with their request id, then sent on their way. */
export function createNewJobs(deps: NewJobsDeps): NewJobs {
  const { store, kinds, admissions, gate, limits, workflows, clock, maxOpenJobs, signal, onStored } = deps;

  const create: Jobs['create'] = async (given, createOptions = {}) => {
    const { queueClass } = checkJob(given, kinds, 'job');
    const request = requestOf(given, createOptions);
    const earlier = request && (await earlierOf(request));
    if (earlier !== undefined) return { job: earlier, existed: true };
    await admissions.get(given.kind)?.(given.params);
    if (store.openCount() >= maxOpenJobs && createOptions.node === undefined) throw tooManyJobs(maxOpenJobs);
    const asked = { spec: given, policy: createOptions.policy ?? {} };
    const isNewRun = given.kind === workflowKind && createOptions.restartOf === undefined;
    const { spec, policy } = isNewRun ? await workflows.prepare(given, asked.policy) : asked;
    const held = await heldOf(spec.kind, { ...createOptions, policy });
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
      ...settingsOf({ ...createOptions, policy }),
      ...promisesOf(policy.sla, createOptions.slotMs ?? createMs),
      ...held,
    };
    if (!(await store.create({ record, events: [{ state: 'queued' }], atMs: createMs }, request))) {
      // Another create with the same request id was faster.
      const job = request && (await earlierOf(request));
      if (job !== undefined) return { job, existed: true };
      return create(given, createOptions);
    }
    await onStored(record);
    // The gate may have let it through or dropped it.
    const job = held.gate === undefined ? { ...record, sequence: 1 } : await store.get(record.id);
    return { job, existed: false };
  };

  /** What holds a new job back until the gate lets it through; nothing for most. Throws TOO_MANY_RUNS_WAIT. */
  const heldOf = async (
    kind: string,
    { owner = '', policy = {} }: CreateOptions,
  ): Promise<Pick<JobRecord, 'gate' | 'heldBy'>> => {
    const { tags = [] } = policy;
    const isLimited = limits.applied({ kind, tags, ...(owner === '' ? {} : { owner }) }).length > 0;
    const open = { scope: `owner/${owner}`, strategy: { kind: 'unlimited' as const } };
    const scope = policy.gate ?? (isLimited ? open : undefined);
    if (scope === undefined) return {};
    if ((await gate.waitingOf(scope.scope)) >= maxWaiting) throw tooManyRunsWait(scope.scope, maxWaiting);
    return { gate: scope, heldBy: 'RUN_STRATEGY' };
  };

  /** The job that a request id stands for; waits for a create in progress. Throws REQUEST_ID_REUSED. */
  const earlierOf = async (request: Request) => {
    const row = await store.findRequest(request.key);
    if (row === undefined) return undefined;
    if (row.digest !== request.digest) throw requestIdReused(request.id, `jobs/${row.id}`);
    const job = await store.find(row.id);
    if (job === undefined) await clock.sleep(requestPollMs, signal);
    return job;
  };

  const restart: Jobs['restart'] = async (id, { requestId = '', owner = '' }) => {
    const job = await store.get(id);
    if (!isTerminal(job.state)) throw jobNotEnded(`jobs/${id}`);
    const { kind, params, labels, priority, template, tags, limits: own, gate: scope, keepMs, keepFailedMs } = job;
    return create(
      { kind, params, labels, priority },
      {
        requestId,
        requestContent: { restart: id },
        ...(job.owner === undefined ? {} : { owner: job.owner }),
        requestScope: scopeOfOwner(owner),
        restartOf: id,
        policy: {
          ...(template === undefined ? {} : { template }),
          ...(tags === undefined ? {} : { tags }),
          ...(own === undefined ? {} : { limits: own }),
          ...(scope === undefined ? {} : { gate: scope }),
          ...(keepMs === undefined ? {} : { keepMs }),
          ...(keepFailedMs === undefined ? {} : { keepFailedMs }),
        },
      },
    );
  };

  return {
    create,
    restart,
    findEarlier: async (content, options) => {
      const request = requestOf(content, options);
      const job = request && (await earlierOf(request));
      return job === undefined ? undefined : { job, existed: true };
    },
  };
}

interface Request {
  readonly id: string;
  readonly key: string;
  readonly digest: string;
}

/** What a request id stands for; undefined without one. Throws INVALID_FIELDS. */
function requestOf(content: unknown, options: CreateOptions): Request | undefined {
  const { requestId: id = '', owner = '', requestScope = scopeOfOwner(owner), requestContent = content } = options;
  if (id.length > maxRequestIdChars || !id.isWellFormed()) {
    throw invalidField('request_id', `must be at most ${maxRequestIdChars} characters`);
  }
  return id === '' ? undefined : { id, key: `${requestScope}/${id}`, digest: jsonDigest(requestContent) };
}

/** Request ids of an owner: neither those of an owner of another name nor those of slots and nodes are among them. */
function scopeOfOwner(owner: string): string {
  return `@${encodeURIComponent(owner)}`;
}

function promisesOf({ startWithinMs, finishWithinMs }: Sla = {}, fromMs: number): Partial<JobRecord> {
  return {
    ...(startWithinMs === undefined ? {} : { mustStartMs: fromMs + startWithinMs }),
    ...(finishWithinMs === undefined ? {} : { mustFinishMs: fromMs + finishWithinMs }),
  };
}

/** What the options add to a record. */
function settingsOf(options: CreateOptions): Partial<JobRecord> {
  const { owner = '', schedule, startByMs, restartOf, policy, node, keepMs } = options;
  const { gate: _held, sla: _promises, ...settings } = policy ?? {};
  return {
    ...settings,
    ...(owner === '' ? {} : { owner }),
    ...(schedule === undefined ? {} : { schedule }),
    ...(startByMs === undefined ? {} : { startByMs }),
    ...(restartOf === undefined ? {} : { restartOf }),
    ...(node === undefined ? {} : { node, parent: node.run }),
    ...(keepMs === undefined ? {} : { keepMs }),
  };
}
