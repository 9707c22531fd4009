import type { MessageInitShape } from '@bufbuild/protobuf';
import type { JobLimitSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import type { JobService } from '../../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { maxWeight } from '../../../workers/queue/fair-turns.ts';
import { invalidField, notFound } from '../../core/errors.ts';
import type { ServiceImplementation } from '../../rpc/handler.ts';
import type { JobLimitRecord } from '../gate/job-limits-store.ts';
import type { Jobs } from '../jobs.ts';

type LimitHandlers = Pick<ServiceImplementation<typeof JobService>, 'setJobLimit' | 'listJobLimits' | 'deleteJobLimit'>;

const prefix = 'limits/';
const limitKey = /^(owner\/[^/\p{Cc}]{1,200}|tag\/[a-z0-9-]{1,63})$/u;
const mostRunning = 100_000;

/** The methods of JobService about how many jobs run at once. */
export function limitHandlers({ limits, gate }: Jobs): LimitHandlers {
  const show = async ({
    key,
    maxRunning,
    weight,
  }: JobLimitRecord): Promise<MessageInitShape<typeof JobLimitSchema>> => ({
    name: `${prefix}${key}`,
    maxRunning: Number.isFinite(maxRunning) ? maxRunning : 0,
    weight,
    running: await gate.permitsTaken(key),
  });
  return {
    setJobLimit: async ({ limit }) => {
      if (limit === undefined) throw invalidField('limit', 'must be set');
      const key = keyOf(limit.name, 'limit.name');
      const { maxRunning, weight } = limit;
      if (maxRunning < 0 || maxRunning > mostRunning)
        throw invalidField('limit.max_running', `must be 0 to ${mostRunning}`);
      if (weight < 0 || weight > maxWeight) throw invalidField('limit.weight', `must be 0 to ${maxWeight}`);
      if (weight !== 0 && key.startsWith('tag/')) throw invalidField('limit.weight', 'must be 0 for a tag');
      const stored = { key, maxRunning: maxRunning || Number.POSITIVE_INFINITY, weight: weight || 1 };
      await limits.set(stored);
      await gate.recheck();
      return { limit: await show(stored) };
    },
    listJobLimits: async () => ({ limits: await Promise.all(limits.list().map(show)) }),
    deleteJobLimit: async ({ name }) => {
      if (!(await limits.delete(keyOf(name, 'name')))) throw notFound('limit', name);
      await gate.recheck();
      return {};
    },
  };
}

function keyOf(name: string, field: string): string {
  const key = name.startsWith(prefix) ? name.slice(prefix.length) : '';
  if (!limitKey.test(key)) throw invalidField(field, 'must have the form limits/owner/{owner} or limits/tag/{tag}');
  return key;
}
