import { type Job, Job_State, Job_StateSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import type { WorkflowRun } from '../../../proto/gen/showrunner/jobs/v1/workflow_pb.ts';
import { systemClock } from '../../core/clock.ts';
import { Code } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';
import { createProgressBar, type ProgressBar } from '../terminal/progress-bar.ts';
import { enumText, formatRun } from './job-views.ts';
import { longestMs, print, type Turn } from './turn.ts';

/**
 * Shows a job's progress until it ends, then its result. A run of a workflow shows its nodes. Throws the job's own
 * error unless it succeeded; an interrupt ends the watch, not the job. A server that is away is waited for.
 */
export async function watchJob(turn: Turn, name: string): Promise<void> {
  const { client, call } = turn;
  let job: Job | undefined;
  try {
    ({ job } = await client.getJob({ name }, call));
    await (job?.kind === 'workflow' ? showNodes(turn, name) : showProgress(turn, name));
    ({ job } = await client.getJob({ name }, call));
  } catch (error) {
    if (!call.signal.aborted) throw error;
    print(`${name} goes on: showrunner jobs watch ${name}`);
    return;
  }
  if (job?.state !== Job_State.SUCCEEDED) throw jobEnded(job, name);
  print(`${name} ${enumText(Job_StateSchema, job.state)}`);
  if (job.result !== undefined) print(JSON.stringify(job.result, undefined, 2));
}

const resumeMs = 500;
/** Tries in a row: for a minute the server may be away. */
const maxResumes = 120;

/** Follows a stream to its end, over restarts of the server. `follow` calls back for each message. */
async function following(
  { call }: Turn,
  follow: (onMessage: () => void) => Promise<void>,
  isExpired: (error: unknown) => boolean = () => false,
): Promise<void> {
  for (let failures = 0; ; failures++) {
    try {
      return await follow(() => {
        failures = 0;
      });
    } catch (error) {
      if (isExpired(error)) continue;
      const isAway = error instanceof AppError && error.code === Code.UNAVAILABLE;
      if (!isAway || call.signal.aborted || failures >= maxResumes) throw error;
      await systemClock.sleep(resumeMs, call.signal);
    }
  }
}

async function showProgress(turn: Turn, name: string): Promise<void> {
  const { client, call } = turn;
  const bar = createProgressBar(process.stdout, name);
  let afterSequence = 0n;
  /** A long job's first events are no longer kept: what it does now is what is to be seen. */
  const isExpired = (error: unknown) => {
    const oldest =
      error instanceof AppError && error.reason === 'EVENTS_EXPIRED' ? error.metadata['oldest'] : undefined;
    if (oldest === undefined || BigInt(oldest) <= afterSequence + 1n) return false;
    afterSequence = BigInt(oldest) - 1n;
    return true;
  };
  try {
    await following(
      turn,
      async (onMessage) => {
        for await (const { event } of client.watchJob({ name, afterSequence }, { ...call, deadlineMs: longestMs })) {
          onMessage();
          if (event === undefined) continue;
          afterSequence = event.sequence;
          const { case: what, value } = event.event;
          if (what === 'progress') bar.update(value.fraction, value.stage, value.message);
          else if (what === 'state' && value === Job_State.SUCCEEDED) bar.update(1, 'done', '');
        }
      },
      isExpired,
    );
  } finally {
    bar.end();
  }
}

async function showNodes(turn: Turn, name: string): Promise<void> {
  const { client, call } = turn;
  const bar = createProgressBar(process.stdout, name);
  let nodes = '';
  try {
    await following(turn, async (onMessage) => {
      for await (const { run } of client.watchWorkflowRun({ name }, { ...call, deadlineMs: longestMs })) {
        onMessage();
        if (run === undefined) continue;
        nodes = formatRun(run);
        showRun(bar, run);
      }
    });
  } finally {
    bar.end();
  }
  print(nodes);
}

function showRun(bar: ProgressBar, { nodes }: WorkflowRun): void {
  const running = nodes.filter(({ endTime, startTime }) => startTime !== undefined && endTime === undefined);
  const ended = nodes.filter(({ endTime }) => endTime !== undefined).length;
  const items = running.flatMap((node) => (node.items ? [`${node.items.succeeded} of ${node.items.total} items`] : []));
  bar.update(ended / nodes.length, running.map(({ id }) => id).join(', ') || 'no node', items.join(', '));
}

/** FAILED_PRECONDITION, or the code of the job's error: the job ended without success. */
function jobEnded(job: Job | undefined, name: string): AppError {
  const state = enumText(Job_StateSchema, job?.state ?? Job_State.UNSPECIFIED);
  return new AppError({
    code: job?.error?.code ? (job.error.code as Code) : Code.FAILED_PRECONDITION,
    reason: job?.error?.reason || 'JOB_ENDED',
    message: `${name} ended as ${state}${job?.error ? `: ${job.error.message}` : ''}`,
  });
}
