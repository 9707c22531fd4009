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

const labelKey = /^[a-z0-9._/-]{1,63}$/;
/** Holds any name of a profile, which `notify` tells. */
const labelValue = /^[A-Za-z0-9._~:/-]{1,140}$/;
const maxLabels = 16;
/** Of keys and values together: events of a job carry them, and have a bound of their own. */
const maxLabelChars = 2_048;
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
  faults.push(...priorityFaults(spec.priority, path), ...labelFaults(spec.labels, path));
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

/** Faults of a priority; `path` is the field that holds it. */
export function priorityFaults(priority: number, path: string): FieldViolation[] {
  if (Number.isInteger(priority) && priority >= 0 && priority <= maxPriority) return [];
  return [{ field: `${path}.priority`, description: `must be 0 to ${maxPriority}, got ${priority}` }];
}

/** Faults of labels; `path` is the field that holds them. */
export function labelFaults(labels: JobSpec['labels'], path: string): FieldViolation[] {
  const field = `${path}.labels`;
  const entries = Object.entries(labels);
  const chars = entries.reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  const wrongKeys = entries.filter(([key]) => !labelKey.test(key));
  const wrongValues = entries.filter(([, value]) => !labelValue.test(value));
  return [
    ...(entries.length > maxLabels
      ? [{ field, description: `must be at most ${maxLabels}, got ${entries.length}` }]
      : []),
    ...(chars > maxLabelChars
      ? [{ field, description: `must have at most ${maxLabelChars} characters together, got ${chars}` }]
      : []),
    ...wrongKeys.map(([key]) => ({
      field,
      description: `"${key.slice(0, 64)}": keys must be 1 to 63 characters of [a-z0-9._/-]`,
    })),
    ...wrongValues.map(([key]) => ({
      field,
      description: `"${key.slice(0, 64)}": values must be 1 to 140 characters of [A-Za-z0-9._~:/-]`,
    })),
  ];
}
