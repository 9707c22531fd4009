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

/** A workflow as it is stored. */
export type WorkflowDefinition = WorkflowSpec & Stamp;

/** One step of a workflow. Its defaults are filled in. */
export interface WorkflowNode {
  readonly id: string;
  readonly work: NodeWork;
  /** Nodes that must have ended before, and how; none = it starts with the run. */
  readonly after: readonly WorkflowEdge[];
  /** Whether all of the edges must hold, or any one. */
  readonly join: 'all' | 'any';
  readonly foreach?: ForEach;
  readonly limits?: JobLimits;
}

/** What a node does: a job of its own, a run of a template or of a workflow, or waiting for an event. */
export type NodeWork =
  | { readonly type: 'job'; readonly kind: string; readonly params: Json; readonly priority: number }
  | { readonly type: 'run'; readonly template: string; readonly params: Json; readonly labels: JobSpec['labels'] }
  | { readonly type: 'workflow'; readonly workflow: string; readonly params: Json }
  | { readonly type: 'signal'; readonly eventKind: string; readonly subject: string; readonly when: string };

/** From a node to one after it. */
export interface WorkflowEdge {
  readonly node: string;
  /** How the node before must have ended. */
  readonly on: 'success' | 'failure' | 'always';
  /** Condition; empty = none. */
  readonly when: string;
}

/** A node once per item. */
export interface ForEach {
  /** A list or a reference to one; exactly one of the two is set. */
  readonly items?: Json;
  /** Lists, or references to them, by name. */
  readonly grid?: Readonly<Record<string, Json>>;
  /** Items at work at once. */
  readonly maxParallel: number;
  /** Items that may fail before the node does. */
  readonly maxFailed: number;
}
