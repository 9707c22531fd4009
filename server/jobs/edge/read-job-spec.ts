import type { MessageShape } from '@bufbuild/protobuf';
import type { JobSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import type { Json } from '../../../workers/queue/job-kind.ts';
import type { JobSpec } from '../check-job.ts';

/** What a caller says of a job. */
export function readJobSpec(job: MessageShape<typeof JobSchema>): JobSpec {
  return { kind: job.kind, params: (job.params ?? {}) as Json, labels: { ...job.labels }, priority: job.priority };
}
