import type { RecordRow, RecordsStore } from '../../stores/records/records-store.ts';
import { tooManyLimits } from '../job-errors.ts';
import type { JobRecord } from '../job-record.ts';
import { decode, encode } from '../job-store.ts';
import { workflowKind } from '../workflows/workflow.ts';

/** How many jobs of an owner or with a tag run at once. Keys are `owner/<id>`, `owner/*` and `tag/<tag>`. */
export interface JobLimitRecord {
  readonly key: string;
  /** Infinity where there is none. */
  readonly maxRunning: number;
  /** Of an owner: turns for each turn of others. */
  readonly weight: number;
}

/** A limit that a job falls under. Its permits are counted under `permits`: those of `owner/*` per owner. */
export interface AppliedLimit {
  readonly permits: string;
  readonly maxRunning: number;
}

/** Limits on how many jobs run at once, as this server knows them: those of others after `load`. */
export interface JobLimitsStore {
  /** Throws TOO_MANY_LIMITS. */
  set(limit: JobLimitRecord): Promise<void>;
  /** False when there was none. */
  delete(key: string): Promise<boolean>;
  /** By key. */
  list(): readonly JobLimitRecord[];
  /**
   * Limits on how many run that a job falls under. Runs of workflows fall under none: they take no worker, and the jobs
   * of their nodes would wait for them.
   */
  applied(job: Pick<JobRecord, 'kind' | 'owner' | 'tags'>): readonly AppliedLimit[];
  /** Turns of the owner for each turn of others; 1 where nothing is set. */
  weightOf(owner: string | undefined): number;
  /** Reads what other servers have set. */
  load(): Promise<void>;
}

const partition = 'jobs/limits';
const maxLimits = 1_000;

/** Limits are few and asked for with every job, so they are kept in memory too. */
export function createJobLimitsStore(records: RecordsStore): JobLimitsStore {
  let limits = new Map<string, JobLimitRecord>();
  /** Limits that this server has set or deleted. */
  let changes = 0;
  const ofOwner = (owner: string | undefined) =>
    owner === undefined ? undefined : (limits.get(`owner/${owner}`) ?? limits.get('owner/*'));
  return {
    set: async (limit) => {
      if (!limits.has(limit.key) && limits.size >= maxLimits) throw tooManyLimits(maxLimits);
      await records.put(partition, limit.key, encode({ ...limit, maxRunning: toStored(limit.maxRunning) }));
      changes++;
      limits.set(limit.key, limit);
    },
    delete: async (key) => {
      const wasThere = await records.delete(partition, key);
      changes++;
      limits.delete(key);
      return wasThere;
    },
    list: () => [...limits.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    applied: ({ kind, owner, tags = [] }) => {
      if (kind === workflowKind) return [];
      const own = ofOwner(owner);
      const ofTags = tags.flatMap((tag) => limits.get(`tag/${tag}`) ?? []);
      return [
        ...(own === undefined ? [] : [{ permits: `owner/${owner}`, maxRunning: own.maxRunning }]),
        ...ofTags.map(({ key, maxRunning }) => ({ permits: key, maxRunning })),
      ].filter(({ maxRunning }) => Number.isFinite(maxRunning));
    },
    weightOf: (owner) => ofOwner(owner)?.weight ?? 1,
    load: async () => {
      let rows: readonly RecordRow[];
      let before: number;
      do {
        // What is set meanwhile may not be among the rows.
        before = changes;
        rows = await records.scan(partition, { limit: maxLimits });
      } while (before !== changes);
      limits = new Map(
        rows.map((row) => {
          const stored = decode<JobLimitRecord>(row.value);
          return [row.key, { ...stored, maxRunning: stored.maxRunning || Number.POSITIVE_INFINITY }];
        }),
      );
    },
  };
}

/** JSON knows no infinity. */
function toStored(maxRunning: number): number {
  return Number.isFinite(maxRunning) ? maxRunning : 0;
}
