import type { Json } from '../../workers/queue/job-kind.ts';
import { toEventMessage, toJobMessage } from '../jobs/job-message.ts';
import type { JobRecord } from '../jobs/job-record.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Manifest } from '../manifest/manifest-domain.ts';
import type { TranscodePart } from '../transcode/rung-progress.ts';
import type { TranscodeJobs } from '../transcode/service.ts';

/** More parts of one title are not looked at. */
const mostParts = 10_000;

function toPart({ kind, params, state, progress, attempts, endMs, result }: JobRecord): TranscodePart {
  const isDone = state === 'succeeded';
  const { rungs } = (result ?? {}) as { rungs?: readonly { id: string; reused: boolean }[] };
  const running = progress?.detail?.['rungs'];
  const runs = running === undefined ? undefined : String(running).split(' ');
  return {
    kind,
    params,
    isDone,
    frames: Number(progress?.detail?.['frames'] ?? 0),
    // What attempts before did is lost, and so is their time.
    startMs: attempts.at(-1)?.startMs,
    endMs,
    encodes: isDone ? rungs?.flatMap(({ id, reused }) => (reused ? [] : [id])) : runs,
  };
}

/**
 * Refuses a transcode of a title that is not there when it is created: its result could not be registered, which would
 * be told only after the whole encode. Titles are never removed. TITLE_NOT_FOUND.
 */
export function admitTranscodes(jobs: Pick<Jobs, 'onJobCreate'>, { titles }: Pick<Manifest, 'titles'>): void {
  jobs.onJobCreate('transcode', async (params) => {
    const { titleId } = params as { titleId: string };
    await titles.get(titleId.slice('titles/'.length));
  });
}

/** The jobs area as TranscodeService sees it. */
export function transcodeJobs(jobs: Jobs): TranscodeJobs {
  return {
    create: async ({ params, ...spec }, options) => {
      const { job, existed } = await jobs.create({ ...spec, params: params as Json }, options);
      return { job: toJobMessage(job), existed };
    },
    get: async (id) => toJobMessage(await jobs.get(id)),
    cancel: async (id) => toJobMessage(await jobs.cancel(id)),
    watch: async function* (id, after, signal) {
      for await (const event of jobs.watch(id, after, signal)) yield toEventMessage(event);
    },
    parts: async (id) => {
      const { createMs } = await jobs.get(id);
      // Ids of parts begin with their job's and a dot, and `/` comes after it: the walk begins at the last part.
      const query = { kinds: new Set<string>(), states: new Set<never>(), labels: {}, includeParts: true, parent: id };
      const page = await jobs.list({ ...query, fromMs: createMs, after: `${id}/`, pageSize: mostParts });
      return page.jobs.map(toPart);
    },
  };
}
