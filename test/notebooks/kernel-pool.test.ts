import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createFairGate } from '../../notebooks-runner/kernel/fair-gate.ts';
import { createHeadStart } from '../../notebooks-runner/kernel/head-start.ts';
import { createKernelPool } from '../../notebooks-runner/kernel/kernel-pool.ts';
import { findKernelspec } from '../../notebooks-runner/kernel/kernelspec.ts';
import { kernelRequestOf } from '../../notebooks-runner/run/kernel-request.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { listProcesses } from '../support/processes.ts';
import { waitUntil } from '../support/wait-until.ts';
import { code, codeCells, createNotebookBed, type NotebookBed, printed, processesNaming } from './notebook-bed.ts';

const parts = { clock: systemClock, log: silentLogger, refillDelayMs: 0 };
const tell = 'console.log(Deno.pid, typeof globalThis.leak, Deno.env.get("A") ?? ""); globalThis.leak = 1;';

describe('kernels that are started ahead', () => {
  it('serve one run each: the next one gets a fresh kernel, quicker, and nothing leaks', async () => {
    await using bed = await createNotebookBed();
    await using pool = createKernelPool(parts);
    const first = await bed.run([code(tell)], { pool });
    await waitUntil('a kernel waits', () => pool.idle() === 1, 20_000);
    const second = await bed.run([code(tell)], { pool });
    const [a, b] = [first, second].map((record) => printed(codeCells(record.notebook)[0]).split(' '));
    assert.notEqual(a?.[0], b?.[0]);
    assert.deepEqual([a?.[1], b?.[1]], ['undefined', 'undefined']);
    assert.deepEqual([first.kernel.isPrewarmed, second.kernel.isPrewarmed], [false, true]);
    assert.ok((second.kernel.readyAfterMs ?? Infinity) < (first.kernel.readyAfterMs ?? 0) / 2);
    assert.equal(second.cells[0]?.executionCount, 1);
    const { claims_cold: cold, claims_warm: warm } = pool.counts();
    assert.deepEqual([cold, warm], [1, 1]);
    assert.deepEqual(
      (second.notebook.metadata['showrunner'] as { kernel: { prewarmed: boolean } }).kernel.prewarmed,
      true,
    );
  });

  it('are kept apart by environment and working directory, and bounded in number', async () => {
    await using bed = await createNotebookBed();
    await using pool = createKernelPool({ ...parts, maxIdle: 1 });
    await bed.run([code(tell)], { pool, env: { A: 'one' } });
    await waitUntil('a kernel waits', () => pool.idle() === 1, 20_000);
    const other = await bed.run([code(tell)], { pool, env: { A: 'two' } });
    assert.equal(printed(codeCells(other.notebook)[0]).split(' ')[2], 'two\n');
    assert.equal(other.kernel.isPrewarmed, false);
    await waitUntil('the older one went', () => pool.counts().discarded === 1, 20_000);
    assert.equal(pool.idle(), 1);
    const moved = await bed.run([code('console.log(Deno.cwd())')], { pool, cwd: bed.path });
    assert.equal(printed(codeCells(moved.notebook)[0]).trim(), bed.path);
  });

  it('are not used when they died while they waited', async () => {
    await using bed = await createNotebookBed();
    await using pool = createKernelPool(parts);
    await bed.run([code(tell)], { pool });
    await waitUntil('a kernel waits', () => pool.idle() === 1, 20_000);
    const waiting = listProcesses().find(({ command }) => command.includes(bed.path)) ?? assert.fail();
    process.kill(waiting.pid, 'SIGKILL');
    await waitUntil('it is dead', () => processesNaming(bed.path).length === 0);
    const record = await bed.run([code(tell)], { pool });
    assert.deepEqual([record.status, record.kernel.isPrewarmed], ['succeeded', false]);
  });

  it('get no secrets of an earlier run, and a run with secrets starts its own', async () => {
    await using bed = await createNotebookBed();
    await using pool = createKernelPool(parts);
    const secrets = { resolve: () => 'a long secret' };
    await bed.run([code('1')], { pool, secrets, parameters: { token: { $secret: 'TOKEN' } } });
    assert.deepEqual([pool.idle(), pool.counts().prewarmed], [0, 0]);
  });

  it('end with the pool, also one that is just starting', async () => {
    await using bed = await createNotebookBed();
    const pool = createKernelPool(parts);
    await bed.run([code('1')], { pool });
    await pool.close();
    assert.equal(pool.idle(), 0);
    // The bed asserts that no kernel process is left.
  });

  it('run at most so many at once', async () => {
    await using bed = await createNotebookBed();
    await using pool = createKernelPool({ ...parts, maxRunning: 2, maxIdle: 0 });
    let running = 0;
    let most = 0;
    // Held until two run: on a slow machine one would have ended before the next has started.
    const go = join(bed.path, 'go');
    const hold = `while (!(await Deno.stat(${JSON.stringify(go)}).catch(() => undefined))) await new Promise((r) => setTimeout(r, 20))`;
    const runs = Array.from({ length: 4 }, (_, i) =>
      bed.run([code(hold)], {
        pool,
        outputPath: `${bed.path}/${i}.ipynb`,
        onEvent: ({ type }) => {
          if (type === 'kernel:ready') most = Math.max(most, ++running);
          if (running === 2) writeFileSync(go, '');
          if (type === 'cell:finished') running--;
        },
      }),
    );
    const records = await Promise.all(runs);
    assert.ok(records.every((record) => record.status === 'succeeded'));
    assert.equal(most, 2);
  });
});

describe('a kernel that is launched before its run is read', () => {
  async function headStart(bed: NotebookBed) {
    const options = { runtimeDir: join(bed.path, 'kernels'), hostEnv: process.env };
    const head = await createHeadStart(kernelRequestOf(options, await findKernelspec('deno'), {}));
    const [folder = ''] = await readdir(join(bed.path, 'kernels'));
    return { head, folder, pool: head.poolFor(parts) };
  }

  it('serves the first run that needs one like it, and no other', async () => {
    await using bed = await createNotebookBed();
    const { head, folder, pool } = await headStart(bed);
    await using _head = head;
    // By its folder: a process whose ports were taken meanwhile is launched again.
    const cells = [code('console.log(Deno.cwd())')];
    const other = await bed.run(cells, { pool, env: { A: 'other' } });
    const runs = [await bed.run(cells, { pool }), await bed.run(cells, { pool })];
    assert.ok(folder !== '');
    assert.deepEqual(
      [other, ...runs].map((record) => printed(codeCells(record.notebook)[0]).includes(folder)),
      [false, true, false],
    );
  });

  it('is ended, with its folder, when nobody claims it', async () => {
    await using bed = await createNotebookBed();
    const { head } = await headStart(bed);
    assert.notEqual(processesNaming(bed.path).length, 0);
    await head[Symbol.asyncDispose]();
    assert.deepEqual([processesNaming(bed.path), await readdir(join(bed.path, 'kernels'))], [[], []]);
  });
});

describe('the fair gate', () => {
  const never = new AbortController().signal;

  it('takes owners in turn, and each in order', async () => {
    const gate = createFairGate(1);
    const leave = await gate.enter('x', never);
    const order: string[] = [];
    const enter = async (owner: string, name: string) => {
      const done = await gate.enter(owner, never);
      order.push(name);
      done();
    };
    const all = [enter('a', 'a1'), enter('a', 'a2'), enter('a', 'a3'), enter('b', 'b1'), enter('c', 'c1')];
    assert.equal(gate.waiting(), 5);
    leave();
    leave();
    await Promise.all(all);
    assert.deepEqual(order, ['a1', 'b1', 'c1', 'a2', 'a3']);
    assert.deepEqual([gate.holders(), gate.waiting()], [0, 0]);
  });

  it('lets go of who gives up', async () => {
    const gate = createFairGate(1);
    const leave = await gate.enter('x', never);
    const controller = new AbortController();
    const waiting = gate.enter('a', controller.signal);
    controller.abort(new Error('enough'));
    await assert.rejects(waiting, /enough/);
    leave();
    assert.deepEqual([gate.holders(), gate.waiting()], [0, 0]);
  });
});
