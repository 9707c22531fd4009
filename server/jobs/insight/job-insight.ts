import type { JobRecord } from '../job-record.ts';
import { normaliseMessage } from './normalise-message.ts';

interface GroupInsight {
  readonly template: string;
  readonly kind: string;
  readonly jobs: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Attempts after the first ones. */
  readonly retries: number;
  readonly cpuMs: number;
  readonly wallMs: number;
  /** The highest of any job. */
  readonly peakRssBytes: number;
  readonly waitP50Ms: number;
  readonly waitP95Ms: number;
  readonly runP50Ms: number;
  readonly runP95Ms: number;
}

interface StageInsight {
  readonly kind: string;
  readonly stage: string;
  readonly count: number;
  readonly totalMs: number;
  readonly p50Ms: number;
  readonly maxMs: number;
}

interface FailureCluster {
  readonly kind: string;
  readonly reason: string;
  /** The message with what differs from job to job taken out. */
  readonly pattern: string;
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** Id of the job that failed last, whose message this is. */
  readonly example: string;
  readonly message: string;
}

/** What jobs have cost, where it went and why they failed; times in ms. */
export interface JobInsight {
  /** By template and kind, the most processor time first. */
  readonly groups: readonly GroupInsight[];
  /** The most time first, 50 at most. */
  readonly stages: readonly StageInsight[];
  /** The most frequent first, 50 at most. */
  readonly failures: readonly FailureCluster[];
  readonly jobs: number;
  /** True when there were more jobs than are summed up. */
  readonly truncated: boolean;
}

/** Takes jobs in one by one, newest first, and sums them up. */
export interface InsightBuilder {
  add(job: JobRecord): void;
  build(truncated: boolean): JobInsight;
}

const maxListed = 50;
/** Clusters held while jobs are taken in; failures of further ones count under one. */
const maxClusters = 2_000;

/** Nothing summed up yet. Keeps the times of all jobs for their percentiles, so whoever adds jobs bounds how many. */
export function createInsightBuilder(): InsightBuilder {
  const groups = new Map<
    string,
    Omit<GroupInsight, `${'wait' | 'run'}P${50 | 95}Ms`> & { waits: number[]; runs: number[] }
  >();
  const stages = new Map<string, { kind: string; stage: string; times: number[] }>();
  const clusters = new Map<string, FailureCluster>();
  let jobs = 0;

  const addToGroup = (job: JobRecord) => {
    const { template = '', kind, state, usage, startMs, endMs, createMs } = job;
    const key = `${template}\0${kind}`;
    const group = groups.get(key) ?? {
      ...{ template, kind, jobs: 0, succeeded: 0, failed: 0, retries: 0, cpuMs: 0, wallMs: 0, peakRssBytes: 0 },
      waits: [],
      runs: [],
    };
    if (startMs !== undefined) group.waits.push(startMs - createMs);
    if (startMs !== undefined && endMs !== undefined) group.runs.push(endMs - startMs);
    groups.set(key, {
      ...group,
      jobs: group.jobs + 1,
      succeeded: group.succeeded + (state === 'succeeded' ? 1 : 0),
      failed: group.failed + (state === 'failed' || state === 'timed_out' ? 1 : 0),
      retries: group.retries + Math.max(0, job.attempt - 1),
      cpuMs: group.cpuMs + (usage?.cpuMs ?? 0),
      wallMs: group.wallMs + (usage?.wallMs ?? 0),
      peakRssBytes: Math.max(group.peakRssBytes, usage?.peakRssBytes ?? 0),
    });
  };
  const addToStages = ({ kind, stages: gone = [] }: JobRecord) => {
    for (const { stage, startMs, endMs } of gone) {
      if (endMs === undefined) continue;
      const key = `${kind}\0${stage}`;
      const known = stages.get(key) ?? { kind, stage, times: [] };
      known.times.push(endMs - startMs);
      stages.set(key, known);
    }
  };
  const addToClusters = (job: JobRecord) => {
    const { id, kind, error, endMs = job.createMs } = job;
    if (error === undefined || (job.state !== 'failed' && job.state !== 'timed_out')) return;
    const pattern = clusters.size < maxClusters ? normaliseMessage(error.message) : '<others>';
    const key = `${kind}\0${error.reason}\0${pattern}`;
    const known = clusters.get(key);
    const isNewer = known === undefined || endMs > known.lastMs;
    clusters.set(key, {
      kind,
      reason: error.reason,
      pattern,
      count: (known?.count ?? 0) + 1,
      firstMs: Math.min(known?.firstMs ?? endMs, endMs),
      lastMs: Math.max(known?.lastMs ?? endMs, endMs),
      example: isNewer ? id : known.example,
      message: isNewer ? error.message : known.message,
    });
  };

  return {
    add: (job) => {
      jobs++;
      addToGroup(job);
      addToStages(job);
      addToClusters(job);
    },
    build: (truncated) => ({
      jobs,
      truncated,
      groups: [...groups.values()]
        .map(({ waits, runs, ...group }) => ({
          ...group,
          waitP50Ms: percentile(waits, 0.5),
          waitP95Ms: percentile(waits, 0.95),
          runP50Ms: percentile(runs, 0.5),
          runP95Ms: percentile(runs, 0.95),
        }))
        .toSorted((a, b) => b.cpuMs - a.cpuMs || b.jobs - a.jobs),
      stages: [...stages.values()]
        .map(({ kind, stage, times }) => ({
          kind,
          stage,
          count: times.length,
          totalMs: times.reduce((sum, ms) => sum + ms, 0),
          p50Ms: percentile(times, 0.5),
          maxMs: percentile(times, 1),
        }))
        .toSorted((a, b) => b.totalMs - a.totalMs)
        .slice(0, maxListed),
      failures: [...clusters.values()].toSorted((a, b) => b.count - a.count || b.lastMs - a.lastMs).slice(0, maxListed),
    }),
  };
}

/** The least value that is not below `share` of all; 0 of none. */
function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
