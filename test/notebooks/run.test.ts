import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { RunEvent } from '../../notebooks-runner/run/run-record.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import {
  assertTimed,
  code,
  codeCells,
  createNotebookBed,
  markdown,
  outputsOf,
  printed,
  statuses,
} from './notebook-bed.ts';

const papermillMarker = 'papermill-error-cell-tag';

function lines(count: number, prefix = 'line'): string {
  return Array.from({ length: count }, (_, i) => `${prefix} ${i}\n`).join('');
}

describe('running a notebook on the Deno kernel', () => {
  it('keeps all output of a cell that prints 3,000 lines, in order and in its own cell', async () => {
    await using bed = await createNotebookBed();
    const print = (prefix: string) => `for (let i = 0; i < 3000; i++) console.log("${prefix} " + i)`;
    const record = await bed.run([code(print('a')), code('console.error("quiet")'), code(print('c')), code('1 + 1')]);
    const cells = codeCells(await bed.readOutput());
    assert.equal(record.status, 'succeeded');
    assert.deepEqual(outputsOf(cells[0]), [{ output_type: 'stream', name: 'stdout', text: lines(3000, 'a') }]);
    assert.deepEqual(outputsOf(cells[1]), [{ output_type: 'stream', name: 'stderr', text: 'quiet\n' }]);
    assert.equal(printed(cells[2]), lines(3000, 'c'));
    assert.deepEqual(outputsOf(cells[3])[0], {
      output_type: 'execute_result',
      execution_count: 4,
      data: { 'text/plain': '2' },
      metadata: {},
    });
  });

  it('records a failing cell truthfully: what ran, what failed, what never ran, with markers', async () => {
    await using bed = await createNotebookBed();
    const failing = 'for (let i = 0; i < 2000; i++) console.log("line " + i);\nthrow new TypeError("no <b>bold</b>")';
    const record = await bed.run([markdown('# t'), code('1'), code(failing), code('2'), markdown('end')]);
    assert.equal(record.status, 'failed');
    assert.deepEqual(statuses(record), ['succeeded', 'failed', 'not_run']);
    assert.deepEqual(
      [record.failure?.ename, record.failure?.evalue, record.failure?.sourceIndex],
      ['TypeError', 'no <b>bold</b>', 2],
    );
    const { cells, metadata } = await bed.readOutput();
    assert.deepEqual(
      cells.map((cell) => cell.cell_type),
      ['markdown', 'markdown', 'code', 'markdown', 'code', 'code', 'markdown'],
    );
    assert.deepEqual(cells[0]?.metadata['tags'], [papermillMarker]);
    assert.deepEqual(cells[3]?.metadata['tags'], [papermillMarker]);
    assert.match(cells[0]?.source ?? '', /#papermill-error-cell">In \[2\]<\/a>\. TypeError: no &lt;b&gt;bold/);
    assert.equal(printed(cells[4]), lines(2000));
    assert.equal(outputsOf(cells[4]).at(-1)?.output_type, 'error');
    const states = cells.map((cell) => (cell.metadata['papermill'] as { status?: string } | undefined)?.status);
    assert.deepEqual(states, [undefined, 'completed', 'completed', undefined, 'failed', 'pending', 'completed']);
    const block = metadata['papermill'] as Record<string, unknown>;
    assert.equal(block['exception'], true);
    assert.equal((metadata['showrunner'] as Record<string, unknown>)['status'], 'failed');
  });

  it('says what is wrong and where in a cell that cannot be parsed', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([code('const good = 1;\nlet x: = 3'), code('1')]);
    assert.deepEqual(statuses(record), ['failed', 'not_run']);
    assert.equal(record.failure?.ename, 'SyntaxError');
    assert.match(record.failure?.evalue ?? '', /\(line 2, column 8\)$/);
    assert.equal(outputsOf(codeCells(record.notebook)[0])[0]?.output_type, 'error');
  });

  it('shows errors that a timer or a promise throws while nobody waits for them, and goes on', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run(
      [
        code(
          'setTimeout(() => { throw new RangeError("of a timer") }, 20); void Promise.reject(new Error("of a promise"));',
        ),
        // Without the handlers the kernel never ends this cell.
        code('await new Promise((r) => setTimeout(r, 200)); console.log("after")'),
      ],
      { cellTimeoutMs: 20_000 },
    );
    assert.equal(record.failure, undefined);
    const cells = codeCells(await bed.readOutput());
    const errors = cells.map((cell) => printed(cell, 'stderr')).join('');
    assert.match(errors, /Uncaught Error: of a promise/);
    assert.match(errors, /Uncaught RangeError: of a timer/);
    assert.equal(printed(cells[1]), 'after\n');
  });

  it('says what the kernel wrote when it gives no reason itself', async () => {
    await using bed = await createNotebookBed();
    // A proxy that refuses: nothing leaves the machine.
    const env = { HTTPS_PROXY: 'http://127.0.0.1:9' };
    const record = await bed.run([code('await import("npm:left-pad")')], { env });
    assert.equal(record.failure?.evalue, 'Execution failed');
    assert.match(record.failure?.traceback.join('\n') ?? '', /The kernel process wrote:.*left-pad/s);
  });

  it('goes on after an error that is allowed by raises-exception and keeps it, without markers', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([code('throw new Error("fine")', 'raises-exception'), code('console.log("on")')]);
    assert.deepEqual([record.status, statuses(record)], ['succeeded', ['succeeded', 'succeeded']]);
    assert.deepEqual([record.cells[0]?.isErrorExpected, record.cells[0]?.error?.evalue], [true, 'fine']);
    const { cells } = await bed.readOutput();
    assert.equal(cells.length, 2);
    assert.equal(outputsOf(cells[0])[0]?.output_type, 'error');
    assert.equal(printed(cells[1]), 'on\n');
  });

  it('does not run cells tagged skip-execution or empty ones and says so', async () => {
    await using bed = await createNotebookBed();
    const stale = { execution: { 'iopub.status.busy': '2020-01-01T00:00:00.000Z' }, tags: ['skip-execution'] };
    const skipping = { ...code('throw 1'), metadata: stale };
    const record = await bed.run([skipping, code('  \n'), code('console.log(1)')]);
    assert.deepEqual([record.status, statuses(record)], ['succeeded', ['skipped', 'skipped', 'succeeded']]);
    const [skipped, , ran] = codeCells(await bed.readOutput());
    assert.deepEqual([skipped?.execution_count, skipped?.outputs], [null, []]);
    assert.equal('execution' in (skipped?.metadata ?? {}), false, 'times of an earlier run');
    assertTimed(ran);
    assert.match(JSON.stringify(skipped?.metadata['papermill']), /"status":"pending"/);
  });

  it('keeps displays of every kind, updates them by id and clears output when told', async () => {
    await using bed = await createNotebookBed();
    const svg = '<svg xmlns="http://www.w3.org/2000/svg"><rect width="1" height="1"/></svg>';
    const show = (data: string, id: string, type = 'display_data') =>
      `await Deno.jupyter.broadcast("${type}", { data: { "text/plain": "${data}" }, metadata: {}, transient: { display_id: "${id}" } });`;
    const record = await bed.run([
      code(`await Deno.jupyter.display({ "image/svg+xml": ${JSON.stringify(svg)} }, { raw: true });`),
      code(show('old', 'd') + show('other', 'e')),
      code(show('new', 'd', 'update_display_data')),
      code('console.log("gone"); await Deno.jupyter.broadcast("clear_output", { wait: true }); console.log("kept");'),
      code('console.log("gone too"); await Deno.jupyter.broadcast("clear_output", { wait: false });'),
    ]);
    assert.equal(record.failure, undefined);
    const cells = codeCells(await bed.readOutput());
    assert.deepEqual(outputsOf(cells[0]), [
      { output_type: 'display_data', data: { 'image/svg+xml': svg }, metadata: {} },
    ]);
    const texts = outputsOf(cells[1]).map((output) => ('data' in output ? output.data['text/plain'] : undefined));
    assert.deepEqual(texts, ['new', 'other']);
    assert.deepEqual([outputsOf(cells[2]), printed(cells[3]), outputsOf(cells[4])], [[], 'kept\n', []]);
  });

  it('attributes output rightly in a notebook that replaced console.log and groups its output', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([
      code('const seen: unknown[] = []; const log = console.log; console.group("g"); console.log("in");'),
      code('console.log = (...args) => { seen.push(args) }; console.log("hidden"); log("shown");'),
      code('log(seen.length)'),
    ]);
    const cells = codeCells(record.notebook);
    assert.deepEqual([printed(cells[0]), printed(cells[1]), printed(cells[2])], ['g\n  in\n', '  shown\n', '  1\n']);
    assert.deepEqual(record.warnings, []);
  });

  it('runs in a private folder with a scrubbed environment', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([code('console.log(JSON.stringify([Deno.cwd(), Deno.env.toObject()]))')], {
      hostEnv: { ...process.env, SECRET_TOKEN: 'x', LANG: 'C.UTF-8' },
      env: { EXTRA: 'given' },
    });
    const [cwd, env] = JSON.parse(printed(codeCells(record.notebook)[0])) as [string, Record<string, string>];
    assert.ok(cwd.startsWith(bed.path) && env['HOME']?.startsWith(bed.path) && env['TMPDIR']?.startsWith(bed.path));
    assert.deepEqual(
      [env['SECRET_TOKEN'], env['EXTRA'], env['LANG'], env['NO_COLOR']],
      [undefined, 'given', 'C.UTF-8', '1'],
    );
  });

  it('tells its progress in order: start, kernel, each cell with its output, end', async () => {
    await using bed = await createNotebookBed();
    const events: RunEvent[] = [];
    const record = await bed.run([code('console.log("x")'), code('7')], { onEvent: (event) => events.push(event) });
    const brief = events.map((event) => (event.type === 'cell:output' ? `${event.kind} ${event.text}` : event.type));
    assert.deepEqual(brief, [
      'run:started',
      'kernel:ready',
      'cell:started',
      'stream x\n',
      'cell:finished',
      'cell:started',
      'result 7',
      'cell:finished',
      'run:finished',
    ]);
    assert.ok(record.kernel.readyAfterMs !== undefined && record.kernel.readyAfterMs > 0);
    assert.equal(record.kernel.implementation, 'Deno kernel');
  });

  it('survives a listener that throws', async () => {
    await using bed = await createNotebookBed();
    const onEvent = () => {
      throw new Error('listener');
    };
    assert.equal((await bed.run([code('1')], { onEvent })).status, 'succeeded');
  });

  it('runs an output notebook again: markers, outputs and traces of the earlier run are gone', async () => {
    await using bed = await createNotebookBed();
    const flaky = code('if (attempt === 1) throw new Error("first"); console.log("second")');
    await bed.run([code('const attempt = 0;', 'parameters'), flaky], { parameters: { attempt: 1 } });
    const document = JSON.parse(await readFile(bed.outputPath, 'utf8'));
    const record = await bed.run([], { notebook: document, parameters: { attempt: 2 } });
    assert.equal(record.status, 'succeeded');
    const { cells, metadata } = await bed.readOutput();
    assert.deepEqual(
      cells.map((cell) => cell.source.split('\n')[0]),
      ['const attempt = 0;', '// Parameters', 'if (attempt === 1) throw new Error("first"); console.log("second")'],
    );
    assert.equal(printed(cells[2]), 'second\n');
    assert.deepEqual((metadata['papermill'] as Record<string, unknown>)['exception'], null);
    assert.equal((metadata['language_info'] as Record<string, unknown>)['name'], 'typescript');
  });

  it('marks and counts what it drops over the output limits', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run(
      [
        code('for (let i = 0; i < 100; i++) console.log("0123456789"); throw new Error("e")', 'raises-exception'),
        code('1'),
      ],
      { limits: { maxCellOutputBytes: 264 } },
    );
    const [cell] = codeCells(record.notebook);
    assert.equal(printed(cell), `${'0123456789\n'.repeat(18)}01`);
    assert.match(printed(cell, 'stderr'), /output truncated: 900 bytes in 82 messages dropped/);
    assert.equal(outputsOf(cell).at(-1)?.output_type, 'error');
    assert.deepEqual([record.cells[0]?.droppedBytes, record.cells[0]?.droppedOutputs], [900, 82]);
    assert.equal(record.cells[1]?.droppedOutputs, 0);
  });

  it('refuses parameters before it starts or writes anything', async () => {
    await using bed = await createNotebookBed();
    const run = bed.run([code('const a = 1', 'parameters')], { parameters: { b: 1 } });
    await rejectsWith(run, Code.INVALID_ARGUMENT, 'NOTEBOOK_PARAMETERS_INVALID');
    await assert.rejects(readFile(bed.outputPath), { code: 'ENOENT' });
  });
});
