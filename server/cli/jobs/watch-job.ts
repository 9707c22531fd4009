import { type Job, Job_State, Job_StateSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { Code } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';
import { createProgressBar } from '../terminal/progress-bar.ts';
import { enumText, formatRun } from './job-views.ts';
import { longestMs, print, type Turn } from './turn.ts';

/**
 * Shows a job's progress until it ends, then its result. A run of a workflow shows its nodes. Throws the job's own
 * error unless it succeeded; an interrupt ends the watch, not the job.
 */
export async function watchJob(turn: Turn, name: string): Promise<void> {
  const { client, call } = turn;
  const { job: first } = await client.getJob({ name }, call);
  try {
    await (first?.kind === 'workflow' ? showNodes(turn, name) : showProgress(turn, name));
  } catch (error) {
    if (!call.signal.aborted) throw error;
    print(`${name} goes on: showrunner jobs watch ${name}`);
    return;
  }
  const { job } = await client.getJob({ name }, call);
  if (job?.state !== Job_State.SUCCEEDED) throw jobEnded(job, name);
  print(`${name} ${enumText(Job_StateSchema, job.state)}`);
  if (job.result !== undefined) print(JSON.stringify(job.result, undefined, 2));
}

async function showProgress({ client, call }: Turn, name: string): Promise<void> {
  const bar = createProgressBar(process.stdout, name);
  try {
    for await (const { event } of client.watchJob({ name }, { ...call, deadlineMs: longestMs })) {
      if (event?.event.case === 'progress') {
        const { fraction, stage, message } = event.event.value;
        bar.update(fraction, stage, message);
      } else if (event?.event.case === 'state' && event.event.value === Job_State.SUCCEEDED) bar.update(1, 'done', '');
    }
  } finally {
    bar.end();
  }
}

async function showNodes({ client, call }: Turn, name: string): Promise<void> {
  const bar = createProgressBar(process.stdout, name);
  let nodes = '';
  try {
    for await (const { run } of client.watchWorkflowRun({ name }, { ...call, deadlineMs: longestMs })) {
      if (run === undefined) continue;
      nodes = formatRun(run);
      const running = run.nodes.filter(({ endTime, startTime }) => startTime !== undefined && endTime === undefined);
      const ended = run.nodes.filter(({ endTime }) => endTime !== undefined).length;
      const note = running.flatMap(({ items }) => (items ? [`${items.succeeded} of ${items.total} items`] : []));
      bar.update(ended / run.nodes.length, running.map(({ id }) => id).join(', ') || 'no node', note.join(', '));
    }
  } finally {
    bar.end();
  }
  print(nodes);
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
