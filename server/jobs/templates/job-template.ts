import type { Json } from '../../../workers/queue/job-kind.ts';
import type { JobLimits } from '../../../workers/queue/job-limits.ts';
import type { Sla } from '../create-job-options.ts';
import type { RunStrategy } from '../gate/run-strategy.ts';
import type { Stamp } from '../resource-store.ts';
import type { ParameterSchema } from './parameter-schema.ts';

/** What a caller says of a template. */
export interface TemplateSpec {
  readonly id: string;
  readonly kind: string;
  readonly description: string;
  readonly schema?: ParameterSchema;
  /** Parameters of the job with references `${params.x}`; absent = those of the run. */
  readonly params?: Json;
  readonly limits?: JobLimits;
  readonly tags: readonly string[];
  readonly strategy?: RunStrategy;
  readonly sla?: Sla;
  /** How long its jobs are kept after their end, in ms: those that succeeded, and all others. */
  readonly keepMs?: number;
  readonly keepFailedMs?: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly priority: number;
}

/** A template as it is stored. */
export type TemplateRecord = TemplateSpec & Stamp;
