import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { parseNotebookParams } from '../../workers/notebook/params.ts';
import type { Json } from '../../workers/queue/job-kind.ts';
import { rejectsWith } from '../support/rejects-with.ts';

describe('the parameters of a notebook job', () => {
  const faulty: readonly [params: Json, field: string][] = [
    [null, 'params'],
    [{}, 'params.notebook'],
    [{ notebook: '../n.ipynb' }, 'params.notebook'],
    [{ notebook: '/etc/n.ipynb' }, 'params.notebook'],
    [{ notebook: 'shipped/../../etc/passwd' }, 'params.notebook'],
    [{ notebook: 'shipped/' }, 'params.notebook'],
    [{ notebook: 'n', outputKey: 'titles/t/master.m3u8' }, 'params.outputKey'],
    [{ notebook: 'n', outputKey: 'notebooks/../x.ipynb' }, 'params.outputKey'],
    [{ notebook: 'notebooks/n.ipynb', outputKey: 'notebooks/n.ipynb' }, 'params.outputKey'],
    [{ notebook: 'n', parameters: [] }, 'params.parameters'],
    [{ notebook: 'n', inputs: {} }, 'params.inputs'],
    [{ notebook: 'n', inputs: ['k'] }, 'params.inputs[0]'],
    [{ notebook: 'n', inputs: [{ key: 'a/../b', as: 'x' }] }, 'params.inputs[0].key'],
    [{ notebook: 'n', inputs: [{ key: 'k', as: '../x' }] }, 'params.inputs[0].as'],
    [{ notebook: 'n', inputs: [{ key: 'k', as: '/x' }] }, 'params.inputs[0].as'],
    [{ notebook: 'n', inputs: [{ key: 'k', as: 'a//b' }] }, 'params.inputs[0].as'],
    [
      {
        notebook: 'n',
        inputs: [
          { key: 'k', as: 'x' },
          { key: 'l', as: 'x' },
        ],
      },
      'params.inputs[1].as',
    ],
    [{ notebook: 'n', inputs: ['x', 'x/y'].map((as) => ({ key: 'k', as })) }, 'params.inputs[1].as'],
    [{ notebook: 'n', inputs: ['x/y', 'x'].map((as) => ({ key: 'k', as })) }, 'params.inputs[1].as'],
    [{ notebook: 'n', cellTimeoutMs: -1 }, 'params.cellTimeoutMs'],
    [{ notebook: 'n', runTimeoutMs: '5' }, 'params.runTimeoutMs'],
    [{ notebook: 'n', kernel: 'x' }, 'params.kernel'],
    [{ notebook: 'n', onlyTags: 'x' }, 'params.onlyTags'],
    [{ notebook: 'n', skipTags: [''] }, 'params.skipTags'],
    [{ notebook: 'n', from: 3 }, 'params.from'],
    [{ notebook: 'n', until: 'x'.repeat(201) }, 'params.until'],
    [{ notebook: 'n', resumeFrom: 'models/x.ipynb' }, 'params.resumeFrom'],
    [{ notebook: 'n', idleTimeoutMs: 1.5 }, 'params.idleTimeoutMs'],
    [{ notebook: 'n', report: 'yes' }, 'params.report'],
    [{ notebook: 'n', limits: 7 }, 'params.limits'],
    [{ notebook: 'n', limits: { memoryMib: 5_000 } }, 'params.limits.memoryMib'],
    [{ notebook: 'n', limits: { cpuSeconds: 0.5 } }, 'params.limits.cpuSeconds'],
    [{ notebook: 'n', limits: { constructor: 1 } }, 'params.limits.constructor'],
  ];
  it('may put inputs beside each other in one folder', () => {
    const inputs = ['x/y', 'x/z', 'xy'].map((as) => ({ key: 'k', as }));
    assert.deepEqual(parseNotebookParams({ notebook: 'n', inputs }).inputs, inputs);
  });

  for (const [params, field] of faulty) {
    it(`are refused at ${field}: ${JSON.stringify(params)}`, async () => {
      const parse = async () => parseNotebookParams(params);
      const error = await rejectsWith(parse(), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.deepEqual(error.fields.map((fault) => fault.field).includes(field), true);
    });
  }
});
