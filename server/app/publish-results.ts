import type { JsonObject } from '@bufbuild/protobuf';
import type { Events } from '../events/create-events.ts';
import type { JobRecord } from '../jobs/job-record.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Manifest } from '../manifest/manifest-domain.ts';
import type { Ranking } from '../ranking/ranking.ts';
import { clientId, findResourceIds } from '../rpc/edge/resource-name.ts';

/**
 * Label of a job whose value names the profile to tell when the result is there, e.g. `profiles/42`. Labels are free
 * text: any other value tells nobody.
 */
const notifyLabel = 'notify';

/** The areas that take part. */
export interface PublishResultsDeps {
  readonly jobs: Pick<Jobs, 'onJobSucceeded'>;
  readonly manifest: Pick<Manifest, 'registerEncodeSet'>;
  readonly ranking: Pick<Ranking, 'onTrained'>;
  readonly events: Pick<Events, 'publish'>;
}

/**
 * What a job's success means to the other areas. Hooks run before the job is told to have succeeded, at least once,
 * so each must bear repetition: registrations are idempotent, event ids are derived from the job.
 */
export function publishResults({ jobs, manifest, ranking, events }: PublishResultsDeps): void {
  const announce = (job: JobRecord, kind: string, subject: string, data: JsonObject) =>
    events.publish({ eventId: `${kind}-${job.id}`, kind, profile: profileToTell(job), subject, data });

  jobs.onJobSucceeded('transcode', async (job) => {
    const { title, encodeSetKey } = job.result as { title: string; encodeSetKey: string };
    const { encodeSet } = await manifest.registerEncodeSet(
      title.slice('titles/'.length),
      encodeSetKey,
      `jobs/${job.id}`,
    );
    await announce(job, 'title.available', title, { encodeSet: `${title}/encodeSets/${encodeSet.version}` });
  });
  jobs.onJobSucceeded('train-ranker', async (job) => {
    await ranking.onTrained(`jobs/${job.id}`, job.result);
    const { modelId, publish } = job.result as { modelId: string; publish: boolean };
    if (publish) await announce(job, 'model.published', `models/${modelId}`, { model: `models/${modelId}` });
  });
}

/** Empty = nobody. */
function profileToTell({ labels }: JobRecord): string {
  const value = labels[notifyLabel] ?? '';
  return findResourceIds(value, ['profiles'], clientId) === undefined ? '' : value;
}
