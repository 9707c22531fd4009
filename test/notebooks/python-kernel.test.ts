import assert from 'node:assert/strict';
import { jupyterKernelDirs } from '../../notebooks-runner/kernel/kernel-dirs.ts';
import { findKernelspec } from '../../notebooks-runner/kernel/kernelspec.ts';
import { AppError } from '../../server/core/errors.ts';
import { code, codeCells, createNotebookBed, outputsOf, printed, statuses } from './notebook-bed.ts';

const kernels = { dirs: jupyterKernelDirs(process.env) };

describe('running a notebook on ipykernel (needs a python3 kernelspec: pip install ipykernel)', () => {
  const python = { kernels, kernelName: 'python3' };

  before(async function () {
    const missing = await findKernelspec('python3', kernels).then(
      () => false,
      (error: unknown) => error instanceof AppError && error.reason === 'KERNEL_MISSING',
    );
    if (missing) this.skip();
  });

  it('injects parameters, keeps output and updates of displays, and goes on after expected errors', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run(
      [
        code('text = ""', 'parameters'),
        code('from IPython.display import display\nhandle = display("old", display_id="d")\nprint(text)\n1 + 1'),
        code('handle.update("new")'),
        code('1 / 0', 'raises-exception'),
        code('for i in range(3000): print(i)'),
      ],
      { ...python, parameters: { text: '"é\u2028\\' } },
    );
    assert.equal(record.failure, undefined);
    const cells = codeCells(await bed.readOutput());
    assert.equal(printed(cells[2]), '"é\u2028\\\n');
    const types = outputsOf(cells[2]).map((output) => output.output_type);
    assert.deepEqual(types, ['display_data', 'stream', 'execute_result']);
    assert.match(JSON.stringify(outputsOf(cells[2])[0]), /"text\/plain":"'new'"/);
    assert.equal(record.cells[4]?.error?.ename, 'ZeroDivisionError');
    assert.equal(printed(cells[5]), Array.from({ length: 3000 }, (_, i) => `${i}\n`).join(''));
  });

  it('takes sys.exit(0) for a clean early end and any other for a failure', async () => {
    await using bed = await createNotebookBed();
    const early = await bed.run([code('import sys\nsys.exit(0)'), code('1')], python);
    assert.deepEqual(
      [early.status, early.isStoppedEarly, statuses(early)],
      ['succeeded', true, ['succeeded', 'not_run']],
    );
    const failed = await bed.run([code('import sys\nsys.exit(3)'), code('1')], python);
    assert.deepEqual([failed.status, failed.failure?.ename, failed.failure?.evalue], ['failed', 'SystemExit', '3']);
  });

  it('interrupts a cell over its time limit and keeps what it printed', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([code('import time\nprint("x")\ntime.sleep(60)')], { ...python, cellTimeoutMs: 500 });
    assert.deepEqual([record.status, printed(codeCells(record.notebook)[0])], ['timed_out', 'x\n']);
    const names = outputsOf(codeCells(record.notebook)[0]).map((output) => ('ename' in output ? output.ename : ''));
    assert.deepEqual(names, ['', 'KeyboardInterrupt', 'CellTimeout']);
  });
});
