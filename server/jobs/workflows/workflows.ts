import type { Json } from '../../../workers/queue/job-kind.ts';
import type { Clock } from '../../core/clock.ts';
import { invalidField } from '../../core/errors.ts';
import type { RecordsStore } from '../../stores/records/records-store.ts';
import type { JobKindInfo, JobSpec } from '../check-job.ts';
import type { JobPolicy } from '../create-job-options.ts';
import { createResourceStore, type ResourceStore } from '../resource-store.ts';
import { fillParameters } from '../templates/parameter-schema.ts';
import { checkWorkflow } from './check-workflow.ts';
import { type WorkflowSpec, workflowKind } from './workflow.ts';

/** Definitions of workflows. Creating and updating also throw INVALID_FIELDS, CONDITION_INVALID, REFERENCE_INVALID. */
export interface Workflows extends ResourceStore<WorkflowSpec> {
  /**
   * The job of a run with what its workflow says: checked parameters, labels, strategy. Throws WORKFLOW_NOT_FOUND,
   * INVALID_FIELDS.
   */
  prepare(spec: JobSpec, policy: JobPolicy): Promise<{ readonly spec: JobSpec; readonly policy: JobPolicy }>;
}

/** The kind `workflow`, which the server itself runs. */
export const workflowKindInfo: JobKindInfo = {
  name: workflowKind,
  queueClass: workflowKind,
  parseParams: (value) => {
    const { workflow, params = {}, ...others } = (value ?? {}) as { readonly [name: string]: Json };
    if (typeof workflow !== 'string' || !/^[a-z0-9-]{1,63}$/.test(workflow)) {
      throw invalidField('params.workflow', 'must be the id of a workflow');
    }
    if (typeof params !== 'object' || params === null || Array.isArray(params)) {
      throw invalidField('params.params', 'must be an object');
    }
    const [other] = Object.keys(others);
    if (other !== undefined) throw invalidField(`params.${other}`, 'no such parameter');
    return value;
  },
};

/** Workflows over the records store; `kinds` are those that a node may name. */
export function createWorkflows(
  records: RecordsStore,
  kinds: ReadonlyMap<string, JobKindInfo>,
  clock: Clock,
): Workflows {
  const store = createResourceStore<WorkflowSpec>(records, 'workflow', clock);
  return {
    ...store,
    create: async (spec) => {
      checkWorkflow(spec, kinds);
      return store.create(spec);
    },
    update: async (spec, revision) => {
      checkWorkflow(spec, kinds);
      return store.update(spec, revision);
    },
    prepare: async (spec, policy) => {
      const { workflow: id, params = {} } = spec.params as { workflow: string; params?: Json };
      const { schema, strategy, labels } = await store.get(id);
      const filled = fillParameters(params, schema, 'params');
      const gate = policy.gate ?? (strategy === undefined ? undefined : { scope: `workflow/${id}`, strategy });
      return {
        spec: { ...spec, params: { workflow: id, params: filled }, labels: { ...labels, ...spec.labels } },
        policy: { ...policy, ...(gate === undefined ? {} : { gate }) },
      };
    },
  };
}
