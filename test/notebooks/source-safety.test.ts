import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { access, chmod, link, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { journalPathOf } from '../../notebooks-runner/run/journal-file.ts';
import { recoverOutput } from '../../notebooks-runner/run/recover-output.ts';
import { Code } from '../../server/core/codes.ts';
import { createSeededRandom } from '../../server/core/random.ts';
import { startChildScript } from '../support/child-script.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { code, codeCells, createNotebookBed, type NotebookBed, notebookOf, processesNaming } from './notebook-bed.ts';

async function writeSource(bed: NotebookBed, ...cells: object[]): Promise<string> {
  const path = join(bed.path, 'source.ipynb');
  await writeFile(path, JSON.stringify(notebookOf(...cells)));
  return path;
}

describe('the source notebook', () => {
  it('is the same file with the same bytes after a run, and its hash is recorded', async () => {
    await using bed = await createNotebookBed();
    const inputPath = await writeSource(bed, code('const a = 1', 'parameters'), code('a'));
    await chmod(inputPath, 0o444);
    const [before, bytes] = [await stat(inputPath), await readFile(inputPath)];
    const record = await bed.run([], { inputPath, parameters: { a: 2 } });
    const after = await stat(inputPath);
    assert.deepEqual([after.ino, after.mtimeMs, after.mode], [before.ino, before.mtimeMs, before.mode]);
    assert.deepEqual(await readFile(inputPath), bytes);
    assert.equal(record.sourceSha256, createHash('sha256').update(bytes).digest('hex'));
    assert.equal(record.isSourceUnchanged, true);
    const block = (await bed.readOutput()).metadata['papermill'] as Record<string, unknown>;
    assert.deepEqual(
      [block['input_path'], block['output_path'], block['parameters']],
      [inputPath, bed.outputPath, { a: 2 }],
    );
  });

  it('is refused as output, by its own path, a symbolic link, a hard link or a linked folder', async () => {
    await using bed = await createNotebookBed();
    const inputPath = await writeSource(bed, code('1'));
    const bytes = await readFile(inputPath);
    await symlink(inputPath, join(bed.path, 'symbolic.ipynb'));
    await link(inputPath, join(bed.path, 'hard.ipynb'));
    await symlink(bed.path, join(bed.path, 'folder'));
    for (const name of ['source.ipynb', './x/../source.ipynb', 'symbolic.ipynb', 'hard.ipynb', 'folder/source.ipynb']) {
      const run = bed.run([], { inputPath, outputPath: `${bed.path}/${name}` });
      await rejectsWith(run, Code.INVALID_ARGUMENT, 'NOTEBOOK_OUTPUT_IS_SOURCE');
    }
    assert.deepEqual(await readFile(inputPath), bytes);
  });

  it('is reported as changed when the notebook itself writes to it', async () => {
    await using bed = await createNotebookBed();
    const path = join(bed.path, 'source.ipynb');
    const inputPath = await writeSource(bed, code(`await Deno.writeTextFile(${JSON.stringify(path)}, "{}")`));
    const record = await bed.run([], { inputPath });
    assert.equal(record.isSourceUnchanged, false);
    assert.match(record.warnings.join(), /changed by somebody else/);
  });

  it('must exist', async () => {
    await using bed = await createNotebookBed();
    const run = bed.run([], { inputPath: join(bed.path, 'absent.ipynb') });
    await rejectsWith(run, Code.NOT_FOUND, 'NOTEBOOK_NOT_FOUND');
  });

  it('must be given once, as a file or as a document', async () => {
    await using bed = await createNotebookBed();
    const inputPath = await writeSource(bed, code('1'));
    const run = bed.run([], { inputPath, notebook: notebookOf() });
    await rejectsWith(run, Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
  });
});

describe('the output notebook', () => {
  it('goes where a link leads, which stays a link, also after its runner was killed', async () => {
    await using bed = await createNotebookBed();
    const real = join(bed.path, 'real.ipynb');
    await mkdir(dirname(bed.outputPath));
    await writeFile(real, 'old');
    await symlink(real, bed.outputPath);
    await bed.run([code('1')]);
    assert.equal(await readlink(bed.outputPath), real);
    assert.deepEqual(readNotebook(await readFile(real)).notebook, await bed.readOutput());
    assert.deepEqual(await readdir(dirname(bed.outputPath)), ['output.ipynb']);
    // What a killed run leaves beside the file is found by the link too.
    const document = JSON.parse(await readFile(real, 'utf8'));
    const ended = {
      ...document,
      metadata: { ...document.metadata, showrunner: { status: 'running', start_time: 'x' } },
    };
    const header = { journal: 1, owner: { pid: 2 ** 30, startTime: '' }, document: ended };
    await writeFile(journalPathOf(real), `${JSON.stringify(header)}\n`);
    assert.equal(await recoverOutput(bed.outputPath), true);
    assert.equal(await readlink(bed.outputPath), real);
    assert.match(await readFile(real, 'utf8'), /RunnerKilled/);
  });

  it('takes the place of no device, pipe or socket', async () => {
    await using bed = await createNotebookBed();
    const path = join(bed.path, 'socket');
    await using server = createServer();
    server.listen(path);
    await once(server, 'listening');
    const run = bed.run([code('1')], { outputPath: path });
    const error = await rejectsWith(run, Code.FAILED_PRECONDITION, 'NOTEBOOK_OUTPUT_UNWRITABLE');
    assert.match(error.message, /is a device, a pipe or a socket/);
    assert.ok((await stat(path)).isSocket());
  });

  it('is refused where it cannot be written, before a kernel starts', async () => {
    await using bed = await createNotebookBed();
    await mkdir(bed.outputPath, { recursive: true });
    await rejectsWith(bed.run([code('1')]), Code.FAILED_PRECONDITION, 'NOTEBOOK_OUTPUT_UNWRITABLE');
    assert.deepEqual(await readdir(dirname(bed.outputPath)), ['output.ipynb']);
  });

  it('is a whole valid document whenever the runner is killed, and no kernel outlives it', async function () {
    await using bed = await createNotebookBed();
    const noise =
      'for (let i = 0; i < 300; i++) { console.log("line " + i); if (i % 30 === 0) await new Promise((r) => setTimeout(r, 2)); }';
    const inputPath = await writeSource(bed, ...Array.from({ length: 15 }, () => code(noise)));
    const script = new URL('./children/run-notebook-child.ts', import.meta.url);
    const random = createSeededRandom(20_260_101);
    const hasDeathSignal = await access('/usr/bin/setpriv').then(
      () => true,
      () => false,
    );
    for (let round = 0; round < 2; round++) {
      const child = startChildScript(script, [inputPath, bed.outputPath, join(bed.path, 'kernels')]);
      await waitUntil('the runner has begun', () => child.lines.includes('run:started'), 20_000);
      const cells = Math.floor(random.next() * 8);
      const finished = () => child.lines.filter((line) => line === 'cell:finished').length;
      await waitUntil('the moment to kill', () => finished() >= cells || child.process.exitCode !== null, 20_000);
      await child.kill();
      const { notebook } = readNotebook(await readFile(bed.outputPath));
      const states = codeCells(notebook).map((cell) => (cell.metadata['showrunner'] as { status: string }).status);
      assert.equal((notebook.metadata['showrunner'] as { status: string }).status, 'running');
      assert.match(states.join(' '), /^(succeeded )*(running )?(pending ?)*$/);
      if (hasDeathSignal) {
        await waitUntil('the kernel is gone', () => processesNaming(bed.path).length === 0);
      }
    }
    const record = await bed.run([], { inputPath });
    assert.equal(record.status, 'succeeded');
    assert.deepEqual(
      await readdir(dirname(bed.outputPath)),
      ['output.ipynb'],
      'temporary files of killed runners are gone',
    );
    if (!hasDeathSignal) this.skip();
  });
});
