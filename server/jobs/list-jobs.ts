import { leastIdAt } from '../core/ids.ts';
import { nextTurn } from '../core/next-turn.ts';
import type { JobRecord, JobState } from './job-record.ts';
import type { JobStore } from './job-store.ts';

/** Which jobs are listed. All of it must hold; empty sets, maps and absent fields hold of every job. */
export interface ListQuery {
  readonly kinds: ReadonlySet<string>;
  readonly states: ReadonlySet<JobState>;
  readonly labels: Readonly<Record<string, string>>;
  /** False leaves out jobs that are parts of others. */
  readonly includeParts: boolean;
  readonly owner?: string;
  readonly template?: string;
  readonly schedule?: string;
  readonly parent?: string;
  /** Created at or after, and before, in Unix ms. */
  readonly fromMs?: number;
  readonly toMs?: number;
  /** Stands in parameters, labels, error or result, in small or capital letters. */
  readonly text?: string;
  /** Id after which the page begins; undefined = the newest job. */
  readonly after: string | undefined;
  readonly pageSize: number;
}

/** One page of jobs, newest first. */
export interface JobsPage {
  readonly jobs: readonly JobRecord[];
  /** Where the next page begins; undefined at the end. */
  readonly next: string | undefined;
}

/** Rows looked at for one page. */
const maxScannedRows = 5_000;
const scanRows = 100;

/** Newest first. A page may be short though more follow, when few of many jobs match. */
export async function listJobs(
  store: Pick<JobStore, 'scan'>,
  { after, pageSize, ...filter }: ListQuery,
): Promise<JobsPage> {
  const jobs: JobRecord[] = [];
  let before = after ?? (filter.toMs === undefined ? undefined : leastIdAt(filter.toMs));
  for (let scanned = 0; scanned < maxScannedRows; scanned += scanRows) {
    const rows = await store.scan(before, scanRows);
    for (const row of rows) {
      if (filter.fromMs !== undefined && row.createMs < filter.fromMs) return { jobs, next: undefined };
      if (matches(row, filter)) jobs.push(row);
      before = row.id;
      if (jobs.length === pageSize) {
        const isLast = rows.length < scanRows && row === rows.at(-1);
        return { jobs, next: isLast ? undefined : before };
      }
    }
    if (rows.length < scanRows) return { jobs, next: undefined };
    await nextTurn();
  }
  return { jobs, next: before };
}

function matches(job: JobRecord, filter: Omit<ListQuery, 'after' | 'pageSize'>): boolean {
  const { owner, template, schedule, parent, toMs, text } = filter;
  if (owner !== undefined && job.owner !== owner) return false;
  if (template !== undefined && job.template !== template) return false;
  if (schedule !== undefined && job.schedule !== schedule) return false;
  if (parent !== undefined && job.parent !== parent) return false;
  if (toMs !== undefined && job.createMs >= toMs) return false;
  if (text !== undefined && !textOf(job).includes(text.toLowerCase())) return false;
  if (job.parent !== undefined && !filter.includeParts) return false;
  if (filter.kinds.size > 0 && !filter.kinds.has(job.kind)) return false;
  if (filter.states.size > 0 && !filter.states.has(job.state)) return false;
  return Object.entries(filter.labels).every(([key, value]) => job.labels[key] === value);
}

/** All of a job that a text is looked for in. */
function textOf({ params, labels, error, result = null }: JobRecord): string {
  return JSON.stringify([params, labels, error?.reason ?? '', error?.message ?? '', result]).toLowerCase();
}
