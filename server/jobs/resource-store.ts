import { jsonDigest } from '../core/canonical-json.ts';
import type { Clock } from '../core/clock.ts';
import { notFound } from '../core/errors.ts';
import type { RecordsStore } from '../stores/records/records-store.ts';
import { resourceChanged, resourceExists } from './job-errors.ts';
import { decode, encode, isConflict } from './job-store.ts';

/** What the store adds to a resource. */
export interface Stamp {
  readonly createMs: number;
  readonly updateMs: number;
  /** Grows with each change, from 1. */
  readonly revision: number;
}

/** Resources that callers create under ids of their choice and replace as a whole. */
export interface ResourceStore<S extends { readonly id: string }> {
  /** Creates a resource; the same one again gives the stored one. Throws <KIND>_EXISTS. */
  create(spec: S): Promise<S & Stamp>;
  /** Throws <KIND>_NOT_FOUND. */
  get(id: string): Promise<S & Stamp>;
  /** By id, after the given one. */
  list(after: string | undefined, limit: number): Promise<(S & Stamp)[]>;
  /** Replaces a resource. `revision` 0 = any. Throws <KIND>_NOT_FOUND, <KIND>_CHANGED. */
  update(spec: S, revision: number): Promise<S & Stamp>;
  /** Throws <KIND>_NOT_FOUND. */
  delete(id: string): Promise<void>;
}

/** `kind` is the resource's name in the singular, e.g. `template`: errors and names are made of it. */
export function createResourceStore<S extends { readonly id: string }>(
  records: RecordsStore,
  kind: 'template' | 'workflow',
  clock: Clock,
): ResourceStore<S> {
  const partition = `jobs/${kind}s`;
  const nameOf = (id: string) => `${kind}s/${id}`;
  const find = async (id: string) => {
    const row = await records.get(partition, id);
    if (row === undefined) throw notFound(kind, nameOf(id));
    return { resource: decode<S & Stamp>(row.value), version: row.version };
  };
  return {
    create: async (spec) => {
      const now = clock.now();
      const resource = { ...spec, createMs: now, updateMs: now, revision: 1 };
      try {
        await records.put(partition, spec.id, encode(resource), { ifVersion: 'absent' });
        return resource;
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
      const there = (await find(spec.id)).resource;
      const { createMs: _c, updateMs: _u, revision: _r, ...stored } = there;
      if (jsonDigest(stored) !== jsonDigest(spec)) throw resourceExists(kind, nameOf(spec.id));
      return there;
    },
    get: async (id) => (await find(id)).resource,
    list: async (after, limit) => {
      const range = { limit, ...(after === undefined ? {} : { from: `${after}\0` }) };
      return (await records.scan(partition, range)).map((row) => decode<S & Stamp>(row.value));
    },
    update: async (spec, revision) => {
      const { resource, version } = await find(spec.id);
      if (revision !== 0 && revision !== resource.revision) {
        throw resourceChanged(kind, nameOf(spec.id), resource.revision);
      }
      const { createMs } = resource;
      const updated = { ...spec, createMs, updateMs: clock.now(), revision: resource.revision + 1 };
      try {
        await records.put(partition, spec.id, encode(updated), { ifVersion: version });
      } catch (error) {
        throw isConflict(error) ? resourceChanged(kind, nameOf(spec.id), resource.revision + 1) : error;
      }
      return updated;
    },
    delete: async (id) => {
      if (!(await records.delete(partition, id))) throw notFound(kind, nameOf(id));
    },
  };
}
