import type { Json } from '../../../workers/queue/job-kind.ts';
import { jobKindUnknown } from '../../../workers/queue/queue-errors.ts';
import { jsonDigest } from '../../core/canonical-json.ts';
import type { Clock } from '../../core/clock.ts';
import { type FieldViolation, invalidFields, notFound } from '../../core/errors.ts';
import type { RecordsStore } from '../../stores/records/records-store.ts';
import { type JobKindInfo, type JobSpec, labelFaults, priorityFaults } from '../check-job.ts';
import type { JobPolicy } from '../create-job-options.ts';
import { findReferences, resolveReferences } from '../expressions/resolve-references.ts';
import { templateChanged, templateExists } from '../job-errors.ts';
import { decode, encode, isConflict } from '../job-store.ts';
import type { TemplateRecord, TemplateSpec } from './job-template.ts';
import { checkSchema, valueFaults, withDefaults } from './parameter-schema.ts';

/** A job of a template, ready to be created. */
export interface TemplateJob {
  readonly spec: JobSpec;
  readonly policy: JobPolicy;
}

export interface JobTemplates {
  /** Creates a template; the same one again gives the stored one. Throws TEMPLATE_EXISTS, INVALID_FIELDS. */
  create(spec: TemplateSpec): Promise<TemplateRecord>;
  /** Throws TEMPLATE_NOT_FOUND. */
  get(id: string): Promise<TemplateRecord>;
  /** By id, after the given one. */
  list(after: string | undefined, limit: number): Promise<TemplateRecord[]>;
  /** Replaces a template. `revision` 0 = any. Throws TEMPLATE_NOT_FOUND, TEMPLATE_CHANGED, INVALID_FIELDS. */
  update(spec: TemplateSpec, revision: number): Promise<TemplateRecord>;
  /** Throws TEMPLATE_NOT_FOUND. */
  delete(id: string): Promise<void>;
  /** The job of a run with these parameters. Throws INVALID_FIELDS with paths below `field`, REFERENCE_UNKNOWN. */
  instantiate(template: TemplateRecord, params: Json, labels: JobSpec['labels'], field: string): TemplateJob;
}

const partition = 'jobs/templates';
const maxDescriptionChars = 1_000;
const maxTags = 8;
const tagText = /^[a-z0-9-]{1,63}$/;

export function createJobTemplates(
  records: RecordsStore,
  kinds: ReadonlyMap<string, JobKindInfo>,
  clock: Clock,
): JobTemplates {
  const find = async (id: string) => {
    const row = await records.get(partition, id);
    if (row === undefined) throw notFound('template', `templates/${id}`);
    return { template: decode<TemplateRecord>(row.value), version: row.version };
  };
  return {
    create: async (spec) => {
      checkTemplate(spec, kinds);
      const now = clock.now();
      const template = { ...spec, createMs: now, updateMs: now, revision: 1 };
      try {
        await records.put(partition, spec.id, encode(template), { ifVersion: 'absent' });
        return template;
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
      const there = (await find(spec.id)).template;
      const { createMs: _c, updateMs: _u, revision: _r, ...stored } = there;
      if (jsonDigest(stored) !== jsonDigest(spec)) throw templateExists(`templates/${spec.id}`);
      return there;
    },
    get: async (id) => (await find(id)).template,
    list: async (after, limit) => {
      const range = { limit, ...(after === undefined ? {} : { from: `${after}\0` }) };
      return (await records.scan(partition, range)).map((row) => decode<TemplateRecord>(row.value));
    },
    update: async (spec, revision) => {
      checkTemplate(spec, kinds);
      const { template, version } = await find(spec.id);
      if (revision !== 0 && revision !== template.revision) {
        throw templateChanged(`templates/${spec.id}`, template.revision);
      }
      const updated = {
        ...spec,
        createMs: template.createMs,
        updateMs: clock.now(),
        revision: template.revision + 1,
      };
      try {
        await records.put(partition, spec.id, encode(updated), { ifVersion: version });
      } catch (error) {
        throw isConflict(error) ? templateChanged(`templates/${spec.id}`, template.revision + 1) : error;
      }
      return updated;
    },
    delete: async (id) => {
      if (!(await records.delete(partition, id))) throw notFound('template', `templates/${id}`);
    },
    instantiate: (template, params, labels, field) => {
      const { id, kind, schema, limits, tags, strategy, priority } = template;
      const filled = schema === undefined ? params : withDefaults(params, schema);
      const faults = schema === undefined ? [] : valueFaults(filled, schema, field);
      if (faults.length > 0) throw invalidFields(faults);
      const resolved =
        template.params === undefined
          ? filled
          : resolveReferences(template.params, { params: filled }, 'template.params');
      return {
        spec: { kind, params: resolved, labels: { ...template.labels, ...labels }, priority },
        policy: {
          template: id,
          ...(limits === undefined ? {} : { limits }),
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
