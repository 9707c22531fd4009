import { type Job, Job_State } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { Code } from '../../core/codes.ts';
import { AppError } from '../../core/errors.ts';
import { createProgressBar, type ProgressOutput } from '../terminal/progress-bar.ts';
import type { DemoClients } from './demo-clients.ts';

/** FAILED_PRECONDITION: a job of the demo ended without success. */
const demoJobFailed = (job: Job | undefined, name: string) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'DEMO_JOB_FAILED',
    message: `${name} (${job?.kind}) ended in ${stateName(job?.state)}: ${job?.error?.reason} ${job?.error?.message}`,
  });

function stateName(state: Job_State | undefined): string {
  return Object.entries(Job_State).find(([, value]) => value === state)?.[0] ?? 'an unknown state';
}

const longestJobMs = 170_000;

/** Shows a job's progress until it ends and gives it. Throws DEMO_JOB_FAILED unless it succeeded. */
export async function watchJob(
  { jobs }: DemoClients,
  name: string,
  title: string,
  output: ProgressOutput,
): Promise<Job> {
  const bar = createProgressBar(output, title);
  try {
    for await (const { event } of jobs.watchJob({ name }, { deadlineMs: longestJobMs })) {
      if (event?.event.case !== 'progress') continue;
      const { fraction, stage, message } = event.event.value;
      bar.update(fraction, stage, message);
    }
  } finally {
    bar.end();
  }
  const { job } = await jobs.getJob({ name });
  if (job?.state !== Job_State.SUCCEEDED) throw demoJobFailed(job, name);
  return job;
}
