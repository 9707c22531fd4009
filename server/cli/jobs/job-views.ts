import type { DescEnum } from '@bufbuild/protobuf';
import { type Duration, durationMs, type Timestamp, timestampDate, timestampMs } from '@bufbuild/protobuf/wkt';
import type { JobInsight } from '../../../proto/gen/showrunner/jobs/v1/job_insight_pb.ts';
import {
  type Job,
  Job_StateSchema,
  type JobLogLine,
  type JobSchedule,
  type JobTemplate,
  RunStrategy_KindSchema,
} from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { WorkflowNodeRun_StateSchema, type WorkflowRun } from '../../../proto/gen/showrunner/jobs/v1/workflow_pb.ts';
import { formatTable } from '../terminal/table.ts';

/** `succeeded` of STATE_SUCCEEDED. */
export function enumText(desc: DescEnum, value: number): string {
  return (desc.value[value]?.localName ?? String(value)).toLowerCase().replaceAll('_', ' ');
}

/** `2026-01-31 03:00:00` in UTC; `-` without one. */
export function timeText(time: Timestamp | undefined): string {
  return time === undefined ? '-' : timestampDate(time).toISOString().slice(0, 19).replace('T', ' ');
}

function spanText(span: Duration | undefined): string {
  return span === undefined ? '-' : msText(durationMs(span));
}

function msText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 120_000 ? `${(ms / 1_000).toFixed(1)} s` : `${(ms / 60_000).toFixed(1)} min`;
}

function bytesText(bytes: bigint): string {
  return bytes === 0n ? '-' : `${(Number(bytes) / 2 ** 20).toFixed(0)} MiB`;
}

/** How long a job has run or ran. */
function ranText({ startTime, endTime }: Job): string {
  if (startTime === undefined) return '-';
  return msText((endTime === undefined ? Date.now() : timestampMs(endTime)) - timestampMs(startTime));
}

/** One line per job. */
export function formatJobs(jobs: readonly Job[]): string {
  const rows = jobs.map((job) => [
    job.name,
    job.kind,
    `${enumText(Job_StateSchema, job.state)}${job.heldBy === '' ? '' : ` (${job.heldBy})`}`,
    timeText(job.createTime),
    ranText(job),
    job.error?.reason || job.progress?.stage || '',
  ]);
  return formatTable([['job', 'kind', 'state', 'created', 'ran', ''], ...rows], [4]);
}

/** Of what a failed run holds back; empty for what none does. */
export function blockedText(blockedBy: string): string {
  return blockedBy === '' ? '' : `blocked by ${blockedBy}`;
}

/** One line per template. */
export function formatTemplates(templates: readonly JobTemplate[]): string {
  const rows = templates.map(({ name, kind, strategy, revision, blockedBy }) => [
    name,
    kind,
    strategy === undefined ? '' : enumText(RunStrategy_KindSchema, strategy.kind),
    String(revision),
    blockedText(blockedBy),
  ]);
  return formatTable([['template', 'kind', 'strategy', 'revision', ''], ...rows], [3]);
}

/** One line per schedule. */
export function formatSchedules(schedules: readonly JobSchedule[]): string {
  const rows = schedules.map((schedule) => [
    schedule.name,
    schedule.cron === '' ? `every ${spanText(schedule.interval)}` : `${schedule.cron} ${schedule.timeZone || 'UTC'}`,
    schedule.paused ? 'paused' : timeText(schedule.nextTime),
    String(schedule.runs),
    schedule.lastJob,
    schedule.lastError || blockedText(schedule.blockedBy),
  ]);
  return formatTable([['schedule', 'slots', 'next', 'runs', 'last job', 'fault'], ...rows], [3]);
}

/** One line per node. */
export function formatRun({ nodes }: WorkflowRun): string {
  const rows = nodes.map(({ id, state, items, job, error, reused }) => [
    id,
    `${enumText(WorkflowNodeRun_StateSchema, state)}${reused ? ' (earlier run)' : ''}`,
    items === undefined ? '' : `${items.succeeded + items.failed + items.notRun} of ${items.total}`,
    job,
    error?.reason ?? '',
  ]);
  return formatTable([['node', 'state', 'items', 'job', 'error'], ...rows], [2]);
}

/** A line of a log. */
export function formatLogLine({ attempt, time, level, message, fields }: JobLogLine): string {
  const data = Object.entries(fields).map(([key, value]) => ` ${key}=${value}`);
  return `${timeText(time)} #${attempt} ${level.padEnd(5)} ${message}${data.join('')}`;
}

/** Cost by template or kind, the slowest stages, failures that are alike. */
export function formatInsight({ groups, stages, failures, jobs, truncated }: JobInsight): string {
  const costs = groups.map((group) => [
    group.template || group.kind,
    ...[group.jobs, group.succeeded, group.failed, group.retries].map(String),
    spanText(group.usage?.cpu),
    bytesText(group.usage?.peakRssBytes ?? 0n),
    spanText(group.waitP95),
    spanText(group.runP50),
    spanText(group.runP95),
  ]);
  const head = ['jobs of', 'jobs', 'succeeded', 'failed', 'retries', 'cpu', 'memory', 'wait p95', 'run p50', 'run p95'];
  const times = stages.map(({ kind, stage, count, total, p50, max }) => [
    ...[kind, stage, String(count), spanText(total), spanText(p50), spanText(max)],
  ]);
  const alike = failures.map(({ kind, reason, count, pattern, example }) => [
    ...[String(count), kind, reason, pattern, example],
  ]);
  return [
    `${jobs} jobs${truncated ? ', older ones left out' : ''}`,
    formatTable([head, ...costs], [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    formatTable([['kind', 'stage', 'times', 'total', 'p50', 'longest'], ...times], [2, 3, 4, 5]),
    ...(alike.length === 0 ? [] : [formatTable([['failures', 'kind', 'reason', 'message', 'last'], ...alike], [0])]),
  ].join('\n\n');
}
