import type { Json } from '../../../workers/queue/job-kind.ts';
import { jobKindUnknown } from '../../../workers/queue/queue-errors.ts';
import type { Clock } from '../../core/clock.ts';
import { type FieldViolation, invalidFields } from '../../core/errors.ts';
import type { RecordsStore } from '../../stores/records/records-store.ts';
import { type JobKindInfo, type JobSpec, labelFaults, priorityFaults } from '../check-job.ts';
import type { JobPolicy } from '../create-job-options.ts';
import { findReferences, resolveReferences } from '../expressions/resolve-references.ts';
import { createResourceStore, type ResourceStore } from '../resource-store.ts';
import type { TemplateRecord, TemplateSpec } from './job-template.ts';
import { checkSchema, fillParameters } from './parameter-schema.ts';

/** A job of a template, ready to be created. */
export interface TemplateJob {
  readonly spec: JobSpec;
  readonly policy: JobPolicy;
}

/** Creating and updating also throw INVALID_FIELDS, JOB_KIND_UNKNOWN, REFERENCE_INVALID. */
export interface JobTemplates extends ResourceStore<TemplateSpec> {
  /** The job of a run with these parameters. Throws INVALID_FIELDS with paths below `field`, REFERENCE_UNKNOWN. */
  instantiate(template: TemplateRecord, params: Json, labels: JobSpec['labels'], field: string): TemplateJob;
}

const maxDescriptionChars = 1_000;
const maxTags = 8;
const tagText = /^[a-z0-9-]{1,63}$/;

/** Templates over the records store; `kinds` are those that a template may name. */
export function createJobTemplates(
  records: RecordsStore,
  kinds: ReadonlyMap<string, JobKindInfo>,
  clock: Clock,
): JobTemplates {
  const store = createResourceStore<TemplateSpec>(records, 'template', clock);
  return {
    ...store,
    create: async (spec) => {
      checkTemplate(spec, kinds);
      return store.create(spec);
    },
    update: async (spec, revision) => {
      checkTemplate(spec, kinds);
      return store.update(spec, revision);
    },
    instantiate: (template, params, labels, field) => {
      const { id, kind, schema, limits, tags, strategy, sla, keepMs, keepFailedMs, priority } = template;
      const filled = fillParameters(params, schema, field);
      const resolved =
        template.params === undefined
          ? filled
          : resolveReferences(template.params, { params: filled }, 'template.params');
      return {
        spec: { kind, params: resolved, labels: { ...template.labels, ...labels }, priority },
        policy: {
          template: id,
          ...(limits === undefined ? {} : { limits }),
          ...(sla === undefined ? {} : { sla }),
          ...(keepMs === undefined ? {} : { keepMs }),
          ...(keepFailedMs === undefined ? {} : { keepFailedMs }),
          ...(tags.length === 0 ? {} : { tags }),
          ...(strategy === undefined ? {} : { gate: { scope: `template/${id}`, strategy } }),
        },
      };
    },
  };
}

/** Throws JOB_KIND_UNKNOWN, REFERENCE_INVALID, or INVALID_FIELDS that names every fault. */
function checkTemplate(spec: TemplateSpec, kinds: ReadonlyMap<string, JobKindInfo>): void {
  if (spec.kind !== '' && !kinds.has(spec.kind)) throw jobKindUnknown(spec.kind.slice(0, 100), [...kinds.keys()]);
  const faults: FieldViolation[] = [
    ...priorityFaults(spec.priority, 'template'),
    ...labelFaults(spec.labels, 'template'),
  ];
  const fault = (field: string, description: string) => faults.push({ field: `template.${field}`, description });
  if (spec.kind === '') fault('kind', 'must be set');
  if (spec.description.length > maxDescriptionChars) {
    fault('description', `must be at most ${maxDescriptionChars} characters`);
  }
  if (spec.tags.length > maxTags || new Set(spec.tags).size !== spec.tags.length) {
    fault('tags', `must be at most ${maxTags}, each once`);
  }
  for (const tag of spec.tags) {
    if (!tagText.test(tag)) fault('tags', `"${tag.slice(0, 64)}": must be 1 to 63 characters of [a-z0-9-]`);
  }
  if (faults.length > 0) throw invalidFields(faults);
  if (spec.schema !== undefined) checkSchema(spec.schema as Json, 'template.parameter_schema');
  for (const { path, field } of findReferences(spec.params ?? {}, 'template.params')) {
    const [root, name] = path;
    const known = spec.schema?.properties;
    if (root === 'params' && (name === undefined || known === undefined || Object.hasOwn(known, name))) continue;
    throw invalidFields([{ field, description: `"\${${path.join('.')}}" names no parameter of the template` }]);
  }
}
