import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findDeno } from '../../notebooks-runner/kernel/deno-binary.ts';
import { jupyterKernelDirs } from '../../notebooks-runner/kernel/kernel-dirs.ts';
import { findKernelspec } from '../../notebooks-runner/kernel/kernelspec.ts';
import { createNonceFilter } from '../../notebooks-runner/kernel/nonce-filter.ts';
import { createWireCodec } from '../../notebooks-runner/kernel/wire-codec.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { code, createNotebookBed, type NotebookBed, notebookOf, statuses } from './notebook-bed.ts';

/** Writes a kernelspec whose kernel is a shell script; gives the folder to search. */
async function writeKernel(bed: NotebookBed, name: string, script: string): Promise<string> {
  const folder = join(bed.path, 'specs', name);
  await mkdir(folder, { recursive: true });
  const program = join(folder, 'kernel.sh');
  await writeFile(program, `#!/bin/sh\n${script}\n`);
  await chmod(program, 0o755);
  const spec = { argv: [program, '{connection_file}'], display_name: name, language: 'typescript' };
  await writeFile(join(folder, 'kernel.json'), JSON.stringify(spec));
  return join(bed.path, 'specs');
}

describe('finding kernels', () => {
  it('finds the real deno of the npm package, not the shim', async () => {
    const binary = findDeno();
    const start = (await readFile(binary)).subarray(0, 2).toString('latin1');
    assert.notEqual(start, '#!');
    const spec = await findKernelspec('Deno');
    assert.deepEqual([spec.argv[0], spec.interruptMode, spec.language], [binary, 'message', 'typescript']);
  });

  it('says what to do when a configured deno is not there', async () => {
    const error = await rejectsWith(
      findKernelspec('deno', { deno: '/nowhere/deno' }),
      Code.FAILED_PRECONDITION,
      'KERNEL_MISSING',
    );
    assert.match(error.message, /SHOWRUNNER_DENO/);
  });

  it('names the folders in which it looked for an unknown kernel, and takes no path for a name', async () => {
    for (const name of ['python9', '../../etc', '..', 'a/b', '']) {
      const error = await rejectsWith(
        findKernelspec(name, { dirs: ['/x/kernels'] }),
        Code.FAILED_PRECONDITION,
        'KERNEL_MISSING',
      );
      assert.match(error.message, /\/x\/kernels/);
    }
  });

  it('reads kernelspecs in order of the folders and gives a bare python the interpreter beside it', async () => {
    await using dir = await createTempDir();
    const kernels = join(dir.path, 'share', 'jupyter', 'kernels');
    await mkdir(join(kernels, 'python3'), { recursive: true });
    await mkdir(join(dir.path, 'bin'));
    await writeFile(join(dir.path, 'bin', 'python'), '#!/bin/sh\n', { mode: 0o755 });
    const spec = {
      argv: ['python', '-f', '{connection_file}'],
      display_name: 'P',
      language: 'Python',
      env: { A: '1', B: 2 },
    };
    await writeFile(join(kernels, 'python3', 'kernel.json'), JSON.stringify(spec));
    const found = await findKernelspec('Python3', { dirs: ['/nowhere', kernels] });
    assert.deepEqual(found.argv, [join(dir.path, 'bin', 'python'), '-f', '{connection_file}']);
    assert.deepEqual([found.language, found.interruptMode, found.env], ['python', 'signal', { A: '1' }]);
  });

  it('finds a kernel by its name in any case, and fills in where it is installed', async () => {
    await using dir = await createTempDir();
    const kernels = join(dir.path, 'share', 'jupyter', 'kernels');
    await mkdir(join(kernels, 'XCpp'), { recursive: true });
    const argv = ['{prefix}/bin/xcpp', '-f', '{connection_file}', '{resource_dir}/run.sh'];
    await writeFile(join(kernels, 'XCpp', 'kernel.json'), JSON.stringify({ argv, display_name: 'X', language: 'c++' }));
    const found = await findKernelspec('xcpp', { dirs: [kernels] });
    assert.deepEqual(found.argv, [
      join(dir.path, 'bin', 'xcpp'),
      '-f',
      '{connection_file}',
      join(kernels, 'XCpp', 'run.sh'),
    ]);
    assert.equal(found.name, 'xcpp');
  });

  for (const [what, text] of [
    ['no JSON', '{'],
    ['no list of arguments', '{"argv": "python", "language": "python"}'],
    ['no language', '{"argv": ["python"]}'],
  ] as const) {
    it(`refuses a kernelspec with ${what}`, async () => {
      await using dir = await createTempDir();
      await mkdir(join(dir.path, 'broken'));
      await writeFile(join(dir.path, 'broken', 'kernel.json'), text);
      await rejectsWith(findKernelspec('broken', { dirs: [dir.path] }), Code.FAILED_PRECONDITION, 'KERNELSPEC_INVALID');
    });
  }

  it('searches where Jupyter does', () => {
    const env = { JUPYTER_PATH: '/a:/b', HOME: '/home/u', VIRTUAL_ENV: '/venv' };
    assert.deepEqual(jupyterKernelDirs(env, 'linux'), [
      '/a/kernels',
      '/b/kernels',
      '/home/u/.local/share/jupyter/kernels',
      '/venv/share/jupyter/kernels',
      '/usr/local/share/jupyter/kernels',
      '/usr/share/jupyter/kernels',
    ]);
  });

  it('asks for a kernel when the notebook names none', async () => {
    await using bed = await createNotebookBed();
    const run = bed.run([], { notebook: { ...notebookOf(code('1')), metadata: {} } });
    await rejectsWith(run, Code.FAILED_PRECONDITION, 'KERNEL_MISSING');
  });
});

describe('starting a kernel', () => {
  it('fails with what the process wrote, and the output notebook says so', async () => {
    await using bed = await createNotebookBed();
    const dirs = [await writeKernel(bed, 'broken', 'echo "cannot open display" >&2; exit 4')];
    const run = bed.run([code('1')], { kernelName: 'broken', kernels: { dirs } });
    const error = await rejectsWith(run, Code.UNAVAILABLE, 'KERNEL_START_FAILED');
    assert.match(error.message, /cannot open display/);
    const { cells, metadata } = await bed.readOutput();
    assert.match(cells[0]?.source ?? '', /KernelStartFailed/);
    assert.equal((metadata['papermill'] as Record<string, unknown>)['exception'], true);
  });

  it('gives up on a kernel that stays silent, and leaves no process', async () => {
    await using bed = await createNotebookBed();
    const dirs = [await writeKernel(bed, 'silent', 'sleep 600')];
    const run = bed.run([code('1')], { kernelName: 'silent', kernels: { dirs }, startTimeoutMs: 200 });
    const error = await rejectsWith(run, Code.UNAVAILABLE, 'KERNEL_START_FAILED');
    assert.match(error.message, /not ready after 200 ms/);
  });

  it('is cancelled at once while the kernel stays silent', async () => {
    await using bed = await createNotebookBed();
    const dirs = [await writeKernel(bed, 'silent', 'sleep 600')];
    const signal = AbortSignal.timeout(200);
    const record = await bed.run([code('1')], { kernelName: 'silent', kernels: { dirs }, signal });
    assert.deepEqual([record.status, statuses(record)], ['cancelled', ['not_run']]);
  });

  it('tries other ports when somebody took them, and keeps the connection file to its owner', async () => {
    await using bed = await createNotebookBed();
    const log = join(bed.path, 'starts');
    const script = [
      `stat -c %a "$1" >> ${log}`,
      `[ $(wc -l < ${log}) -lt 3 ] && { echo "Uncaught AddrInUse: Address already in use" >&2; exit 1; }`,
      `exec ${findDeno()} jupyter --kernel --conn "$1"`,
    ].join('\n');
    const dirs = [await writeKernel(bed, 'unlucky', script)];
    const record = await bed.run([code('1')], { kernelName: 'unlucky', kernels: { dirs }, hostEnv: process.env });
    assert.equal(record.status, 'succeeded');
    assert.equal(await readFile(log, 'utf8'), '600\n600\n600\n');
  });
});

describe('the wire protocol', () => {
  const codec = (key: string) => createWireCodec(key, 'session', () => 0);
  const frames = (key: string) =>
    codec(key)
      .encode('status', { text: 'é' })
      .frames.map((frame) => Buffer.from(frame));

  it('reads what it signed, with routing frames before it', () => {
    const message = codec('k').decode([Buffer.from('topic'), ...frames('k')]);
    assert.deepEqual([message?.type, message?.content, message?.parentId], ['status', { text: 'é' }, undefined]);
  });

  it('refuses and counts wrong keys, changed bytes, missing frames and broken JSON', () => {
    const reader = codec('k');
    const changed = frames('k').with(5, Buffer.from('{"text":"x"}'));
    for (const bad of [
      frames('other'),
      changed,
      frames('k').slice(0, 5),
      frames('k').slice(1),
      [],
      [Buffer.from('<IDS|MSG>')],
    ]) {
      assert.equal(reader.decode(bad), undefined);
    }
    assert.equal(reader.rejected(), 6);
  });
});

describe('the barrier after a cell', () => {
  for (const pieces of [
    ['a\nNONCE\nb'],
    ['a\n', 'NONCE\n', 'b'],
    ['a\nNO', 'NCE', '\nb'],
    ['a', '\n', 'N', 'O', 'N', 'C', 'E', '\n', 'b'],
  ]) {
    it(`finds the nonce in ${JSON.stringify(pieces)}`, () => {
      const filter = createNonceFilter('NONCE');
      const passed = pieces.map((piece) => filter.push(piece));
      assert.equal(passed.map(({ text }) => text).join(''), 'a\nb');
      assert.equal(passed.at(-1)?.isFound, true);
    });
  }

  it('gives back text that only began like the nonce', () => {
    const filter = createNonceFilter('NONCE');
    assert.deepEqual(filter.push('x NON'), { text: 'x ', isFound: false });
    assert.deepEqual(filter.push('SENSE NO'), { text: 'NONSENSE ', isFound: false });
    assert.equal(filter.rest(), 'NO');
  });
});
