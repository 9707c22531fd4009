import type { Json } from '../../../workers/queue/job-kind.ts';
import type { JobLimits } from '../../../workers/queue/job-limits.ts';
import type { JobSpec } from '../check-job.ts';
import type { RunStrategy } from '../gate/run-strategy.ts';
import type { Stamp } from '../resource-store.ts';
import type { ParameterSchema } from '../templates/parameter-schema.ts';

/** Name of the kind of job that a run is, and of its queue class, which no worker serves: the server runs it. */
export const workflowKind = 'workflow';

/** What a caller says of a workflow; see Workflow of the contract. */
export interface WorkflowSpec {
  readonly id: string;
  readonly description: string;
  readonly schema?: ParameterSchema;
  readonly nodes: readonly WorkflowNode[];
  readonly outputs?: Json;
  readonly strategy?: RunStrategy;
  readonly labels: Readonly<Record<string, string>>;
}

export type WorkflowDefinition = WorkflowSpec & Stamp;

export interface WorkflowNode {
  readonly id: string;
  readonly work: NodeWork;
  readonly after: readonly WorkflowEdge[];
  readonly join: 'all' | 'any';
  readonly foreach?: ForEach;
  readonly limits?: JobLimits;
}

export type NodeWork =
  | { readonly type: 'job'; readonly kind: string; readonly params: Json; readonly priority: number }
  | { readonly type: 'run'; readonly template: string; readonly params: Json; readonly labels: JobSpec['labels'] }
  | { readonly type: 'workflow'; readonly workflow: string; readonly params: Json }
  | { readonly type: 'signal'; readonly eventKind: string; readonly subject: string; readonly when: string };

export interface WorkflowEdge {
  readonly node: string;
  readonly on: 'success' | 'failure' | 'always';
  /** Condition; empty = none. */
  readonly when: string;
}

export interface ForEach {
  /** A list or a reference to one; exactly one of the two is set. */
  readonly items?: Json;
  /** Lists, or references to them, by name. */
  readonly grid?: Readonly<Record<string, Json>>;
  readonly maxParallel: number;
  readonly maxFailed: number;
}
