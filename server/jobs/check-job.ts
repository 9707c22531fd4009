import type { JobKind, Json } from '../../workers/queue/job-kind.ts';
import { jobKindUnknown } from '../../workers/queue/queue-errors.ts';
import { maxParamsBytes } from '../../workers/queue/queued-job.ts';
import { jsonBytes } from '../core/canonical-json.ts';
import { AppError, type FieldViolation, invalidFields } from '../core/errors.ts';

/** What a caller says of a job. */
export interface JobSpec {
  readonly kind: string;
  readonly params: Json;
  readonly labels: Readonly<Record<string, string>>;
  readonly priority: number;
}

/** What the server needs of a kind; it never runs one. */
export type JobKindInfo = Pick<JobKind, 'name' | 'queueClass' | 'parseParams'>;

const labelText = /^[a-z0-9._/-]{1,63}$/;
const maxLabels = 16;
const maxPriority = 9;

/**
 * Checks a job against its kind. `path` is the field that holds it, e.g. `job`.
 * Throws JOB_KIND_UNKNOWN, or INVALID_FIELDS that names every fault.
 */
export function checkJob(spec: JobSpec, kinds: ReadonlyMap<string, JobKindInfo>, path: string): JobKindInfo {
  const faults: FieldViolation[] = [];
  const fault = (field: string, description: string) => faults.push({ field: `${path}.${field}`, description });
  if (spec.kind === '') fault('kind', 'must be set');
  const kind = kinds.get(spec.kind);
  if (kind === undefined && spec.kind !== '') throw jobKindUnknown(spec.kind.slice(0, 100), [...kinds.keys()]);
  if (!Number.isInteger(spec.priority) || spec.priority < 0 || spec.priority > maxPriority) {
    fault('priority', `must be 0 to ${maxPriority}, got ${spec.priority}`);
  }
  const labels = Object.entries(spec.labels);
  if (labels.length > maxLabels) fault('labels', `must be at most ${maxLabels}, got ${labels.length}`);
  for (const [key, value] of labels) {
    if (!labelText.test(key) || !labelText.test(value)) {
      fault('labels', `"${key.slice(0, 64)}": keys and values must be 1 to 63 characters of [a-z0-9._/-]`);
    }
  }
  const bytes = jsonBytes(spec.params);
  if (bytes > maxParamsBytes) fault('params', `must be at most ${maxParamsBytes} bytes as JSON, got ${bytes}`);
  if (kind === undefined || faults.length > 0) throw invalidFields(faults);
  try {
    kind.parseParams(spec.params);
  } catch (error) {
    if (error instanceof AppError) throw error;
    // A parser that throws something else has met a value that it does not expect.
    throw invalidFields([{ field: `${path}.params`, description: 'cannot be read by this kind' }]);
  }
  return kind;
}
