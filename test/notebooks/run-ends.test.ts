import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createKernelPool } from '../../notebooks-runner/kernel/kernel-pool.ts';
import type { RunEvent } from '../../notebooks-runner/run/run-record.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { waitUntil } from '../support/wait-until.ts';
import {
  code,
  codeCells,
  createNotebookBed,
  onceOn,
  outputsOf,
  printed,
  processesNaming,
  statuses,
} from './notebook-bed.ts';

const forever = 'await new Promise((resolve) => setTimeout(resolve, 600_000))';

function papermillOf(cell: { metadata: Record<string, unknown> } | undefined): Record<string, unknown> {
  return cell?.metadata['papermill'] as Record<string, unknown>;
}

/** True for the output that tells the kernel's pid. */
const isPid = (event: RunEvent) => event.type === 'cell:output' && event.text.startsWith('pid ');
const pidIn = (event: RunEvent) => Number(event.type === 'cell:output' ? event.text.slice(4) : 0);

/** True until the process has ended and its parent has taken note. */
function isKnown(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('a run that does not end well', () => {
  for (const [what, source] of [
    ['loops without end', 'console.log("before"); for (;;) {}'],
    ['waits without end and cannot be interrupted', `console.log("before"); ${forever}`],
  ] as const) {
    it(`times out a cell that ${what}: timed_out, with its output, the rest not run`, async () => {
      await using bed = await createNotebookBed();
      const cells = [code('1'), code(source, 'timeout:600ms'), code('2')];
      const record = await bed.run(cells, { interruptGraceMs: 200 });
      assert.equal(record.status, 'timed_out');
      assert.deepEqual(statuses(record), ['succeeded', 'timed_out', 'not_run']);
      assert.equal(record.failure?.ename, 'CellTimeout');
      const shown = codeCells(await bed.readOutput());
      assert.equal(printed(shown[1]), 'before\n');
      assert.equal(outputsOf(shown[1]).at(-1)?.output_type, 'error');
      assert.deepEqual([papermillOf(shown[1])['status'], papermillOf(shown[1])['exception']], ['failed', true]);
      assert.deepEqual([papermillOf(shown[2])['status'], papermillOf(shown[2])['exception']], ['pending', null]);
      assert.equal(papermillOf(await bed.readOutput())['exception'], true);
    });
  }

  it('is killed when somebody ends the kernel before the first cell', async () => {
    await using bed = await createNotebookBed();
    let pid = 0;
    const onEvent = onceOn(
      (event) => event.type === 'kernel:ready',
      (event) => {
        pid = event.type === 'kernel:ready' ? event.pid : 0;
      },
    );
    const fillCwd = async () => {
      process.kill(pid, 'SIGKILL');
      await waitUntil('its end is known', () => !isKnown(pid));
    };
    const record = await bed.run([code('1')], { onEvent, fillCwd });
    assert.deepEqual([record.status, record.failure?.ename, statuses(record)], ['killed', 'KernelKilled', ['not_run']]);
    assert.match(record.failure?.evalue ?? '', /SIGKILL before the first cell/);
  });

  it('is cancelled also while its working directory is filled, when that gives up by an error', async () => {
    await using bed = await createNotebookBed();
    const controller = new AbortController();
    const fillCwd = async () => {
      controller.abort(new Error('enough'));
      controller.signal.throwIfAborted();
    };
    const record = await bed.run([code('1')], { signal: controller.signal, fillCwd });
    assert.deepEqual(
      [record.status, record.failure?.ename, statuses(record)],
      ['cancelled', 'RunCancelled', ['not_run']],
    );
    assert.deepEqual((await bed.readOutput()).metadata['showrunner'], record.notebook.metadata['showrunner']);
  });

  it('limits the whole run, too', async () => {
    await using bed = await createNotebookBed();
    const cells = Array.from({ length: 50 }, () => code('await new Promise((resolve) => setTimeout(resolve, 100))'));
    // On a kernel that waits: its start counts too, and may take longer than all the time there is.
    await using pool = createKernelPool({ clock: systemClock, log: silentLogger });
    await bed.run([code('1')], { pool });
    await waitUntil('a kernel waits', () => pool.idle() === 1, 20_000);
    const record = await bed.run(cells, { pool, runTimeoutMs: 700, interruptGraceMs: 50 });
    assert.deepEqual([record.status, record.failure?.ename], ['timed_out', 'RunTimeout']);
    assert.equal(record.cells.filter((cell) => cell.status === 'timed_out').length, 1);
    assert.ok(statuses(record).includes('not_run'));
  });

  it('says that the kernel was killed when somebody kills it in a cell', async () => {
    await using bed = await createNotebookBed();
    const onEvent = onceOn(isPid, (event) => process.kill(pidIn(event), 'SIGKILL'));
    const record = await bed.run([code(`console.log("pid " + Deno.pid); ${forever}`), code('2')], { onEvent });
    assert.deepEqual([record.status, statuses(record)], ['killed', ['killed', 'not_run']]);
    assert.deepEqual([record.failure?.ename, record.failure?.cellIndex], ['KernelKilled', 0]);
    const [cell] = codeCells(await bed.readOutput());
    assert.match(printed(cell), /^pid \d+\n$/);
    assert.equal(papermillOf(cell)['status'], 'failed');
  });

  it('takes a kernel that exits in a cell for a failure, also with exit code 0', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([code('console.log("x")'), code('Deno.exit(0)'), code('2')]);
    assert.deepEqual([record.status, statuses(record)], ['failed', ['succeeded', 'failed', 'not_run']]);
    assert.match(record.failure?.evalue ?? '', /ended with exit code 0/);
  });

  it('does not call the run a success when the kernel exits after the last reply', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([code('setTimeout(() => Deno.exit(3), 50)'), code(forever), code('2')]);
    assert.deepEqual([record.status, statuses(record)], ['failed', ['succeeded', 'failed', 'not_run']]);
    assert.match(record.failure?.evalue ?? '', /exit code 3/);
  });

  it('is cancelled soon after the grace of a second, whatever the cell does', async () => {
    await using bed = await createNotebookBed();
    const controller = new AbortController();
    let cancelledAt = 0;
    const onEvent = onceOn(isPid, () => {
      cancelledAt = performance.now();
      controller.abort(new Error('cancel'));
    });
    const record = await bed.run([code(`console.log("pid " + Deno.pid); ${forever}`), code('2')], {
      onEvent,
      signal: controller.signal,
    });
    // Far less on a calm machine; the cell itself would take ten minutes.
    assert.ok(performance.now() - cancelledAt < 10_000);
    assert.deepEqual([record.status, statuses(record)], ['cancelled', ['cancelled', 'not_run']]);
    assert.equal((await bed.readOutput()).metadata['showrunner'] !== undefined, true);
  });

  it('starts no kernel when it is cancelled before', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([code('1')], { signal: AbortSignal.abort() });
    assert.deepEqual(
      [record.status, statuses(record), record.failure?.cellIndex],
      ['cancelled', ['not_run'], undefined],
    );
    assert.equal(record.kernel.readyAfterMs, undefined);
  });

  it('kills a kernel that takes more memory than it may (needs /proc)', async function () {
    if (process.platform !== 'linux') this.skip();
    await using bed = await createNotebookBed();
    const eat =
      'const held: Uint8Array[] = []; for (;;) { held.push(new Uint8Array(8_388_608).fill(1)); await new Promise((r) => setTimeout(r, 5)); }';
    const record = await bed.run([code(eat)], { limits: { maxMemoryBytes: 500_000_000 } });
    assert.deepEqual([record.status, record.failure?.ename], ['killed', 'MemoryLimitExceeded']);
    assert.ok(record.kernel.peakMemoryBytes > 500_000_000);
  });

  it('notices a kernel that has stopped answering', async () => {
    await using bed = await createNotebookBed();
    const onEvent = onceOn(isPid, (event) => process.kill(pidIn(event), 'SIGSTOP'));
    const limits = { heartbeatTimeoutMs: 300 };
    const record = await bed.run([code(`console.log("pid " + Deno.pid); ${forever}`)], { onEvent, limits });
    assert.deepEqual([record.status, record.failure?.ename], ['killed', 'KernelUnresponsive']);
  });

  it('leaves no process that the notebook started', async () => {
    await using bed = await createNotebookBed();
    const marker = join(bed.path, 'child-marker');
    const spawn = `new Deno.Command("sh", { args: ["-c", "sleep 600; : ${marker}"] }).spawn(); 0`;
    const controller = new AbortController();
    const run = bed.run([code(spawn), code(forever)], { signal: controller.signal, interruptGraceMs: 50 });
    await waitUntil('the child runs', () => processesNaming(marker).some((line) => !line.includes('deno')), 20_000);
    controller.abort();
    assert.equal((await run).status, 'cancelled');
    await waitUntil('the child is gone', () => processesNaming(marker).length === 0);
  });

  it('shows in the output file what is going on while it runs', async () => {
    await using bed = await createNotebookBed();
    const controller = new AbortController();
    const cells = [code('1'), code(`console.log("waiting"); ${forever}`), code('2')];
    const run = bed.run(cells, { signal: controller.signal, saveIntervalMs: 10, interruptGraceMs: 50 });
    const text = () => readFile(bed.outputPath, 'utf8').catch(() => '');
    await waitUntil('the running cell is saved', async () => (await text()).includes('"waiting\\n"'));
    const saved = codeCells(await bed.readOutput());
    assert.deepEqual(
      saved.map((cell) => papermillOf(cell)['status']),
      ['completed', 'running', 'pending'],
    );
    controller.abort();
    await run;
  });
});
