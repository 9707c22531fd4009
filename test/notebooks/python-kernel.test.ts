import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KernelSearch } from '../../notebooks-runner/kernel/kernelspec.ts';
import {
  assertTimed,
  code,
  codeCells,
  createNotebookBed,
  onceOn,
  outputsOf,
  printed,
  statuses,
} from './notebook-bed.ts';
import { openPythonOrSkip } from './python-bed.ts';

describe('running a notebook on ipykernel', () => {
  let python: { readonly kernels: KernelSearch; readonly kernelName: string };

  before(async function () {
    const { kernelsDir } = await openPythonOrSkip(this);
    python = { kernels: { dirs: [kernelsDir] }, kernelName: 'python3' };
  });

  it('injects parameters, keeps output and updates of displays, and goes on after expected errors', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run(
      [
        code('text = ""\nwhen = None\nraw = b""', 'parameters'),
        code('from IPython.display import display\nhandle = display("old", display_id="d")\nprint(text)\n1 + 1'),
        code('handle.update("new")'),
        code('1 / 0', 'raises-exception'),
        code('for i in range(3000): print(i)'),
        code('print(when.isoformat(), raw)'),
      ],
      {
        ...python,
        parameters: { text: '"é\u2028\\', when: new Date('2024-02-29T12:30:00.500Z'), raw: new Uint8Array([0, 255]) },
      },
    );
    assert.equal(record.failure, undefined);
    const cells = codeCells(await bed.readOutput());
    for (const cell of cells) assertTimed(cell);
    assert.equal(printed(cells[2]), '"é\u2028\\\n');
    const types = outputsOf(cells[2]).map((output) => output.output_type);
    assert.deepEqual(types, ['display_data', 'stream', 'execute_result']);
    assert.match(JSON.stringify(outputsOf(cells[2])[0]), /"text\/plain":"'new'"/);
    assert.equal(record.cells[4]?.error?.ename, 'ZeroDivisionError');
    assert.equal(printed(cells[5]), Array.from({ length: 3000 }, (_, i) => `${i}\n`).join(''));
    assert.equal(printed(cells[6]), "2024-02-29T12:30:00.500000+00:00 b'\\x00\\xff'\n");
  });

  it('refuses parameters that the defaults cell does not declare or that have another type', async () => {
    await using bed = await createNotebookBed();
    const run = bed.run([code('a: int = 1\nb = "x"', 'parameters')], { ...python, parameters: { a: 1.5, b: 2, c: 3 } });
    await assert.rejects(run, (error: Error) => {
      assert.match(
        error.message,
        /parameters\.a: must be a whole number.*parameters\.b: must be string.*parameters\.c/s,
      );
      return true;
    });
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

  it('takes exit() for a clean early end, though IPython would run more cells for a second or two', async () => {
    await using bed = await createNotebookBed();
    const asked = await bed.run([code('exit()'), code('print(1)')], python);
    assert.deepEqual(
      [asked.status, asked.isStoppedEarly, statuses(asked)],
      ['succeeded', true, ['succeeded', 'not_run']],
    );
  });

  it('interrupts a cell over its time limit and keeps what it printed', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([code('import time\nprint("x")\ntime.sleep(60)')], {
      ...python,
      cellTimeoutMs: 1_000,
    });
    assert.deepEqual([record.status, printed(codeCells(record.notebook)[0])], ['timed_out', 'x\n']);
    const names = outputsOf(codeCells(record.notebook)[0]).map((output) => ('ename' in output ? output.ename : ''));
    assert.deepEqual(names, ['', 'KeyboardInterrupt', 'CellTimeout']);
  });

  it('kills a kernel that ignores the interrupt', async () => {
    await using bed = await createNotebookBed();
    const stubborn = `import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("deaf")
while True:
    time.sleep(1)`;
    const record = await bed.run([code(stubborn), code('1')], {
      ...python,
      cellTimeoutMs: 1_000,
      interruptGraceMs: 200,
    });
    assert.deepEqual([record.status, statuses(record)], ['timed_out', ['timed_out', 'not_run']]);
    assert.equal(printed(codeCells(record.notebook)[0]), 'deaf\n');
  });

  it('ends a kernel that overwrote what it needs to answer, by the time limit', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([code('import json\njson.dumps = lambda *a, **k: 1 / 0\n1')], {
      ...python,
      cellTimeoutMs: 500,
      interruptGraceMs: 100,
    });
    assert.deepEqual([record.status, record.failure?.ename], ['timed_out', 'CellTimeout']);
  });

  it('leaves nothing that a forked child with a session of its own could go on with', async () => {
    await using bed = await createNotebookBed();
    const daemon = `import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
print("left")`;
    const record = await bed.run([code(daemon)], python);
    // The bed asserts that no process of the run is left.
    assert.deepEqual([record.status, printed(codeCells(record.notebook)[0])], ['succeeded', 'left\n']);
  });

  it('bounds processor time and address space where the system can', async function () {
    if (process.platform !== 'linux') this.skip();
    await using bed = await createNotebookBed();
    // The cell lowers the limit to what it has used and a second, so that it need not burn more than that.
    const burning = `import resource, time
limit = resource.getrlimit(resource.RLIMIT_CPU)
print(limit)
resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1, limit[1]))
while True: pass`;
    const burnt = await bed.run([code(burning)], { ...python, limits: { maxCpuSeconds: 60 } });
    assert.deepEqual([burnt.status, burnt.failure?.ename], ['killed', 'CpuLimitExceeded']);
    assert.equal(printed(codeCells(burnt.notebook)[0]), '(60, 65)\n');
    const limits = { maxAddressSpaceBytes: 2_000_000_000 };
    const full = await bed.run([code('x = bytearray(3_000_000_000)')], { ...python, limits });
    assert.deepEqual([full.status, full.failure?.ename], ['failed', 'MemoryError']);
  });

  it('ends as Python does: exit handlers run and files that were left open are written, also those in a cycle', async () => {
    await using bed = await createNotebookBed();
    const cell = code(
      [
        'import atexit, gc',
        "held = open('held.txt', 'w'); held.write('held')",
        'class Ring: pass',
        'ring = Ring(); ring.itself = ring',
        "ring.file = open('ring.txt', 'w'); ring.file.write('ring')",
        "atexit.register(lambda: open('exit.txt', 'w').write('exit'))",
        'print(gc.get_freeze_count() > 0)',
      ].join('\n'),
    );
    const record = await bed.run([cell], { ...python, cwd: bed.path, exitGraceMs: 60_000 });
    assert.equal(printed(codeCells(record.notebook)[0]), 'True\n');
    const texts = ['held', 'ring', 'exit'].map((name) => readFile(join(bed.path, `${name}.txt`), 'utf8'));
    assert.deepEqual(await Promise.all(texts), ['held', 'ring', 'exit']);
  });

  it('starts without a debugger, which a notebook may still load, and leaves no name of its own', async () => {
    await using bed = await createNotebookBed();
    const cells = [
      code('import sys\nprint("pydevd" in sys.modules, "debugpy" in sys.modules, "" in sys.path)'),
      code('import debugpy\nprint(debugpy.__name__)'),
      code(
        'print([name for name in dir() if name not in ("In", "Out", "exit", "quit", "open", "get_ipython") and name[0] != "_"])',
      ),
    ];
    const record = await bed.run(cells, python);
    assert.equal(record.failure, undefined);
    const texts = codeCells(record.notebook).map((cell) => printed(cell));
    assert.deepEqual(texts, ['False False True\n', 'debugpy\n', "['debugpy', 'sys']\n"]);
    assert.deepEqual(
      record.cells.map(({ executionCount }) => executionCount),
      [1, 2, 3],
    );
  });

  it('stores the state of widgets with their arrays, and what an output widget captured', async () => {
    await using bed = await createNotebookBed();
    const source = `import ipywidgets as widgets
slider = widgets.IntSlider(value=3, max=9)
out = widgets.Output()
with out:
    print("captured")
    print("too")
slider.value = 7
slider`;
    const record = await bed.run([code(source), code('print(out.outputs[0]["text"])')], python);
    assert.equal(record.failure, undefined);
    const { widgets } = (await bed.readOutput()).metadata as {
      widgets: Record<string, { state: Record<string, { model_name: string; state: Record<string, unknown> }> }>;
    };
    const models = Object.values(widgets['application/vnd.jupyter.widget-state+json']?.state ?? {});
    const find = (name: string) => models.find((model) => model.model_name === name)?.state;
    assert.equal(find('IntSliderModel')?.['value'], 7);
    assert.deepEqual(find('OutputModel')?.['outputs'], [
      { output_type: 'stream', name: 'stdout', text: 'captured\ntoo\n' },
    ]);
    assert.equal(printed(codeCells(record.notebook)[1]), 'captured\ntoo\n\n');
    assert.ok(outputsOf(codeCells(record.notebook)[0]).some((output) => 'data' in output));
  });

  it('says what a kernel that is killed from outside printed before', async () => {
    await using bed = await createNotebookBed();
    const onEvent = onceOn(
      (event) => event.type === 'cell:output' && event.text.startsWith('pid '),
      (event) => process.kill(Number('text' in event ? event.text.slice(4) : 0), 'SIGKILL'),
    );
    const cells = [code('import os, time\nprint("pid", os.getpid())\ntime.sleep(60)'), code('1')];
    const record = await bed.run(cells, { ...python, onEvent });
    assert.deepEqual([record.status, record.failure?.ename], ['killed', 'KernelKilled']);
  });
});
