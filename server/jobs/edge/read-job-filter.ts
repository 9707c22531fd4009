import type { MessageShape } from '@bufbuild/protobuf';
import type { ListJobsRequestSchema } from '../../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { invalidField } from '../../core/errors.ts';
import { readResourceName, slugId } from '../../rpc/edge/resource-name.ts';
import { readTimestamp } from '../../rpc/edge/wkt-time.ts';
import type { ListQuery } from '../list-jobs.ts';
import { jobId } from './job-id.ts';
import { readState } from './read-state.ts';

const maxTextChars = 200;

/** Which jobs a request asks for. Throws INVALID_FIELDS. */
export function readJobFilter(
  request: MessageShape<typeof ListJobsRequestSchema>,
): Omit<ListQuery, 'after' | 'pageSize'> {
  const { kinds, labels, includeChildren, owner, template, schedule, parent, text } = request;
  if (text.length > maxTextChars) throw invalidField('text', `must be at most ${maxTextChars} characters`);
  const fromMs = readTimestamp('created_after', request.createdAfter);
  const toMs = readTimestamp('created_before', request.createdBefore);
  return {
    kinds: new Set(kinds),
    states: new Set(request.states.map((state, index) => readState(state, `states[${index}]`))),
    labels: { ...labels },
    includeParts: includeChildren,
    ...(owner === '' ? {} : { owner }),
    ...(template === '' ? {} : { template: readResourceName('template', template, ['templates'], slugId)[0] }),
    ...(schedule === '' ? {} : { schedule: readResourceName('schedule', schedule, ['schedules'], slugId)[0] }),
    ...(parent === '' ? {} : { parent: readResourceName('parent', parent, ['jobs'], jobId)[0] }),
    ...(fromMs === undefined ? {} : { fromMs }),
    ...(toMs === undefined ? {} : { toMs }),
    ...(text === '' ? {} : { text }),
  };
}
