import type { FailurePolicy, FilterContext } from '../../../plugins/engine/filter.ts';
import type { Call } from '../../../server/core/call.ts';
import type { AnyFilter, InlinePipeline } from './inline-pipeline.ts';

export type Ctx = FilterContext<unknown, unknown>;
export type Run = (call: Call, ctx: Ctx) => unknown;

export const base = { version: '1.0.0', order: 0, category: 'context' } as const;

/** The inbound filter `test.bad`. */
export function inbound(run: Run, failurePolicy?: FailurePolicy, extra: object = {}): AnyFilter {
  const policy = failurePolicy === undefined ? {} : { failurePolicy };
  return { ...base, id: 'test.bad', type: 'inbound', ...policy, run, ...extra } as AnyFilter;
}

/** What became of a filter in an ended call, as `status(detail)`. */
export function statusOf(pipeline: InlinePipeline, call: Call, id = 'test.bad'): string {
  const trace = pipeline.explain(call.id).filters.find((filter) => filter.id === id);
  return `${trace?.status}(${trace?.detail})`;
}

export const boom = () => {
  throw new Error('boom');
};
export const asyncBoom = async () => boom();
export const never = () => new Promise<never>(() => {});
