import type { Clock } from '../../core/clock.ts';
import { invalidField } from '../../core/errors.ts';
import { leastIdAt } from '../../core/ids.ts';
import { nextTurn } from '../../core/next-turn.ts';
import type { JobStore } from '../job-store.ts';
import { createInsightBuilder, type JobInsight } from './job-insight.ts';

/** Which jobs are summed up. */
export interface InsightQuery {
  /** Created at or after this, in Unix ms; default a day before `toMs`. */
  readonly fromMs?: number | undefined;
  /** Created before this, in Unix ms; default now. */
  readonly toMs?: number | undefined;
  /** Empty = all. */
  readonly kinds: ReadonlySet<string>;
  readonly template?: string;
}

const dayMs = 86_400_000;
const maxJobs = 20_000;
const scanRows = 100;

/**
 * What the newest jobs of a time, 20,000 at most, have cost, where it went and why they failed. Throws INVALID_FIELDS
 * when the time ends before it begins.
 */
export async function gatherInsight(
  store: Pick<JobStore, 'scan'>,
  clock: Clock,
  { toMs = clock.now(), fromMs = toMs - dayMs, kinds, template }: InsightQuery,
): Promise<JobInsight> {
  if (fromMs > toMs) throw invalidField('from_time', 'must not be after to_time');
  const builder = createInsightBuilder();
  let before: string | undefined = leastIdAt(toMs);
  for (let scanned = 0; scanned < maxJobs; scanned += scanRows) {
    const rows = await store.scan(before, scanRows);
    for (const job of rows) {
      before = job.id;
      if (job.createMs < fromMs) return builder.build(false);
      const isMeant = kinds.size === 0 || kinds.has(job.kind);
      if (isMeant && (template === undefined || job.template === template)) builder.add(job);
    }
    if (rows.length < scanRows) return builder.build(false);
    await nextTurn();
  }
  return builder.build(true);
}
