import { toJsonString } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { JobInsightSchema } from '../../../proto/gen/showrunner/jobs/v1/job_insight_pb.ts';
import { type Job, type Job_State, Job_StateSchema, JobSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { invalidField } from '../../core/errors.ts';
import { enumText, formatInsight, formatJobs, formatLogLine } from './job-views.ts';
import {
  longestMs,
  nameIn,
  print,
  readCount,
  readLabels,
  readObject,
  readSpan,
  type Subcommand,
  type Turn,
} from './turn.ts';
import { watchJob } from './watch-job.ts';

const states: ReadonlyMap<string, Job_State> = new Map(
  Job_StateSchema.values
    .filter(({ number }) => number > 0)
    .map(({ localName, number }): [string, Job_State] => [localName.toLowerCase(), number as Job_State]),
);

function readState(text: string): Job_State {
  const state = states.get(text.toLowerCase().replace('-', '_'));
  if (state === undefined)
    throw invalidField('--state', `expected one of ${[...states.keys()].join(', ')}, got "${text}"`);
  return state;
}

const optionalName = (collection: string, text: string) => (text === '' ? '' : nameIn(collection, text));

/** Prints a job that was asked for and, with --watch, what becomes of it. */
export async function showMade(turn: Turn, job: Job | undefined, existed: boolean): Promise<void> {
  if (job === undefined) throw new Error('the server gave no job');
  print(`${job.name}${existed ? ' (made earlier)' : ''}`);
  if (turn.values.watch) await watchJob(turn, job.name);
}

async function list({ client, call, values }: Turn): Promise<void> {
  let left = readCount('--limit', values.limit ?? '50');
  const found: Job[] = [];
  for (let pageToken = ''; left > 0; ) {
    const page = await client.listJobs(
      {
        kinds: values.kind ?? [],
        states: (values.state ?? []).map(readState),
        labels: readLabels(values.label),
        includeChildren: values.parts,
        owner: values.owner,
        template: optionalName('templates', values.template),
        schedule: optionalName('schedules', values.schedule),
        text: values.text,
        createdAfter: timestampFromMs(Date.now() - readSpan('--since', values.since)),
        pageSize: Math.min(left, 500),
        pageToken,
      },
      call,
    );
    found.push(...page.jobs);
    left -= page.jobs.length;
    pageToken = page.nextPageToken;
    if (pageToken === '') break;
  }
  if (values.json) for (const job of found) print(toJsonString(JobSchema, job));
  else print(formatJobs(found));
}

/** Of single jobs. */
export const jobCommands: Readonly<Record<string, Subcommand>> = {
  create: {
    usage: 'create KIND [JSON|@FILE] [--label K=V]… [--priority N] [--request-id ID] [--watch]',
    doc: 'make a job with parameters; prints its name',
    run: async (turn) => {
      const { client, call, args, values } = turn;
      const [kind, json] = args;
      if (kind === undefined) throw invalidField('KIND', 'is missing');
      const { job, existed } = await client.createJob(
        {
          job: {
            kind,
            params: readObject(json),
            labels: readLabels(values.label),
            priority: readCount('--priority', values.priority),
          },
          requestId: values['request-id'],
        },
        call,
      );
      await showMade(turn, job, existed);
    },
  },
  list: {
    usage: 'list [--kind K]… [--state S]… [--label K=V]… [--text T] [--since 24h] [--limit N] [--json]',
    doc: 'the newest jobs; also by --owner, --template, --schedule; with --parts those of other jobs too',
    run: list,
  },
  get: {
    usage: 'get JOB',
    doc: 'a job with attempts, stages, usage and result as JSON',
    run: async ({ client, call, args }) => {
      const { job } = await client.getJob({ name: nameIn('jobs', args[0]) }, call);
      if (job) print(toJsonString(JobSchema, job, { prettySpaces: 2 }));
    },
  },
  watch: {
    usage: 'watch JOB',
    doc: 'progress until the end; the exit code is 0 only when it succeeds',
    run: async (turn) => await watchJob(turn, nameIn('jobs', turn.args[0])),
  },
  cancel: {
    usage: 'cancel JOB…',
    doc: 'end jobs',
    run: async ({ client, call, args }) => {
      if (args.length === 0) throw invalidField('JOB', 'is missing');
      for (const arg of args) {
        const { job } = await client.cancelJob({ name: nameIn('jobs', arg) }, call);
        if (job) print(`${job.name} ${enumText(Job_StateSchema, job.state)}`);
      }
    },
  },
  restart: {
    usage: 'restart JOB [--request-id ID] [--watch]',
    doc: 'run an ended job again; a run of a workflow keeps what succeeded',
    run: async (turn) => {
      const { client, call, args, values } = turn;
      const request = { name: nameIn('jobs', args[0]), requestId: values['request-id'] };
      const { job, existed } = await client.restartJob(request, call);
      await showMade(turn, job, existed);
    },
  },
  logs: {
    usage: 'logs JOB [--attempt N] [--follow]',
    doc: 'log lines of the worker; with --follow until the job ends',
    run: async ({ client, call, args, values }) => {
      const request = {
        name: nameIn('jobs', args[0]),
        attempt: readCount('--attempt', values.attempt),
        follow: values.follow,
      };
      const options = values.follow ? { ...call, deadlineMs: longestMs } : call;
      for await (const { line } of client.readJobLogs(request, options)) if (line) print(formatLogLine(line));
    },
  },
  delete: {
    usage: 'delete JOB',
    doc: 'forget an ended job with its log',
    run: async ({ client, call, args }) => void (await client.deleteJob({ name: nameIn('jobs', args[0]) }, call)),
  },
  insight: {
    usage: 'insight [--since 24h] [--kind K]… [--template ID] [--json]',
    doc: 'what jobs have cost, their slowest stages, failures that are alike',
    run: async ({ client, call, values }) => {
      const fromTime = timestampFromMs(Date.now() - readSpan('--since', values.since));
      const template = optionalName('templates', values.template);
      const { insight } = await client.getJobInsight({ fromTime, kinds: values.kind ?? [], template }, call);
      if (insight)
        print(values.json ? toJsonString(JobInsightSchema, insight, { prettySpaces: 2 }) : formatInsight(insight));
    },
  },
};
