// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are written so
import { Code } from '../../server/core/codes.ts';
import type { WorkflowNode } from '../../server/jobs/workflows/workflow.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';
import { node } from './fixtures/workflow-runs.ts';

describe('the definition of a workflow', () => {
  let harness: JobsHarness;
  before(async () => {
    harness = await openJobsHarness({ start: false });
  });
  after(() => harness.close());

  it('is refused when something in it is wrong', async () => {
    const ok = node('a', 'noop', {});
    const faulty: readonly (readonly [readonly WorkflowNode[], string])[] = [
      [[], 'INVALID_FIELDS'],
      [[ok, ok], 'INVALID_FIELDS'],
      [[node('params', 'noop', {})], 'INVALID_FIELDS'],
      [[node('Not ok', 'noop', {})], 'INVALID_FIELDS'],
      [[node('__proto__', 'noop', {})], 'INVALID_FIELDS'],
      [[node('a', 'nonsense', {})], 'INVALID_FIELDS'],
      [[node('a', 'noop', {}, ['nobody'])], 'INVALID_FIELDS'],
      [[node('a', 'noop', {}, ['b']), node('b', 'noop', {}, ['a'])], 'INVALID_FIELDS'],
      [[node('a', 'noop', {}, ['a'])], 'INVALID_FIELDS'],
      [[ok, node('b', 'noop', { x: '${a.result}' })], 'INVALID_FIELDS'],
      [[ok, node('b', 'noop', { x: '${item}' }, ['a'])], 'INVALID_FIELDS'],
      [[ok, node('b', 'noop', { x: '${a..b}' }, ['a'])], 'REFERENCE_INVALID'],
      [[ok, node('b', 'noop', {}, [{ node: 'a', when: 'a.result >' }])], 'CONDITION_INVALID'],
      [[ok, node('b', 'noop', {}, [{ node: 'a', when: 'c.result > 1' }])], 'INVALID_FIELDS'],
      [[node('a', 'noop', {}, [], { foreach: { maxParallel: 1, maxFailed: 0 } })], 'INVALID_FIELDS'],
      [[node('a', 'noop', {}, [], { foreach: { items: [], maxParallel: 257, maxFailed: 0 } })], 'INVALID_FIELDS'],
      [[node('a', 'noop', {}, [], { foreach: { items: [], maxParallel: 1, maxFailed: -1 } })], 'INVALID_FIELDS'],
      [
        [node('a', '', {}, [], { work: { type: 'signal', eventKind: 'x', subject: '', when: 'a.b' } })],
        'INVALID_FIELDS',
      ],
      [Array.from({ length: 201 }, (_, i) => node(`n${i}`, 'noop', {})), 'INVALID_FIELDS'],
    ];
    for (const [nodes, reason] of faulty) {
      const create = harness.jobs.workflows.create({ id: 'bad', description: '', nodes, labels: {} });
      await rejectsWith(create, Code.INVALID_ARGUMENT, reason);
    }
  });

  it('must be there when a run is asked for', async () => {
    const spec = { kind: 'workflow', params: { workflow: 'nobody' }, labels: {}, priority: 0 };
    await rejectsWith(harness.jobs.create(spec), Code.NOT_FOUND, 'WORKFLOW_NOT_FOUND');
    for (const params of [{}, { workflow: 'a', params: [] }, { workflow: 'a', other: 1 }]) {
      await rejectsWith(harness.jobs.create({ ...spec, params }), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    }
  });
});
