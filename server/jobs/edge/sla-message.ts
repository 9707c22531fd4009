import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { JobSlaSchema } from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { invalidField } from '../../core/errors.ts';
import { readDuration, toDuration } from '../../rpc/edge/wkt-time.ts';
import type { Sla } from '../create-job-options.ts';

const mostMs = 30 * 86_400_000;

/** Promises of a message; undefined when it makes none. Throws INVALID_FIELDS below `field`. */
export function readSla(sla: MessageShape<typeof JobSlaSchema> | undefined, field: string): Sla | undefined {
  const startWithinMs = readDuration(`${field}.must_start_within`, sla?.mustStartWithin);
  const finishWithinMs = readDuration(`${field}.must_finish_within`, sla?.mustFinishWithin);
  for (const [name, ms] of [
    ['must_start_within', startWithinMs],
    ['must_finish_within', finishWithinMs],
  ] as const) {
    if (ms !== undefined && (ms <= 0 || ms > mostMs))
      throw invalidField(`${field}.${name}`, 'must be over 0 and at most 30 days');
  }
  if (startWithinMs === undefined && finishWithinMs === undefined) return undefined;
  return {
    ...(startWithinMs === undefined ? {} : { startWithinMs }),
    ...(finishWithinMs === undefined ? {} : { finishWithinMs }),
  };
}

/** Promises as callers see them; what is not promised stays absent. */
export function toSlaMessage({ startWithinMs, finishWithinMs }: Sla): MessageInitShape<typeof JobSlaSchema> {
  return {
    ...(startWithinMs === undefined ? {} : { mustStartWithin: toDuration(startWithinMs) }),
    ...(finishWithinMs === undefined ? {} : { mustFinishWithin: toDuration(finishWithinMs) }),
  };
}
