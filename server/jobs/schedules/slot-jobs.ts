import type { Clock } from '../../core/clock.ts';
import type { JobStore } from '../job-store.ts';
import type { Jobs } from '../jobs.ts';
import type { JobSchedulesDeps } from './job-schedules.ts';

interface SlotJobsDeps {
  readonly create: Jobs['create'];
  readonly store: Pick<JobStore, 'findRequest'>;
  readonly clock: Clock;
}

/** Jobs of slots: the slot is their request id, so that none is made twice. */
export function createSlotJobs(deps: SlotJobsDeps): Pick<JobSchedulesDeps, 'makeJob' | 'findJob'> {
  const { create, store, clock } = deps;
  return {
    makeJob: ({ id, owner, startWithinMs }, { spec, policy }, key, slotMs) =>
      create(spec, {
        requestId: key === '' ? '' : `${id}/${key}`,
        requestScope: 'schedules',
        requestContent: { schedule: id, key },
        schedule: id,
        policy,
        ...(owner === undefined ? {} : { owner }),
        ...(startWithinMs === undefined ? {} : { startByMs: (slotMs ?? clock.now()) + startWithinMs }),
        ...(slotMs === undefined ? {} : { slotMs }),
      }),
    findJob: async ({ id }, key) => (await store.findRequest(`schedules/${id}/${key}`))?.id,
  };
}
