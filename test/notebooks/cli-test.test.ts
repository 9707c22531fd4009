import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { findNotebooks } from '../../notebooks-runner/testing/find-notebooks.ts';
import { isNormaliser, normaliseText } from '../../notebooks-runner/testing/normalise-output.ts';
import { runNotebookTest } from '../../notebooks-runner/testing/run-notebook-test.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { code, notebookOf } from './notebook-bed.ts';
import { runNotebooks } from './notebooks-command.ts';

function withOutput(cell: object, text: string): object {
  return { ...cell, outputs: [{ output_type: 'stream', name: 'stdout', text }] };
}

async function write(path: string, showrunner: object, ...cells: object[]): Promise<void> {
  const document = notebookOf(...cells);
  await writeFile(path, JSON.stringify({ ...document, metadata: { ...(document['metadata'] as object), showrunner } }));
}

describe('showrunner notebooks test', function () {
  this.timeout(60_000);

  it('runs every notebook of a folder: assertions by tag, golden outputs, JUnit, exit code', async () => {
    await using dir = await createTempDir();
    await mkdir(join(dir.path, 'sub', '.hidden'), { recursive: true });
    const test = { parameters: { n: 4 }, normalise: ['ansi', 'space', 'uuid'] };
    await write(
      join(dir.path, 'good.ipynb'),
      { test },
      code('const n = 1', 'parameters'),
      code('// n is even\nif (n % 2 !== 0) throw new Error("odd")', 'test'),
      withOutput(
        code('console.log("n", n, crypto.randomUUID())', 'golden'),
        'n 4 00000000-0000-4000-8000-000000000000\n',
      ),
    );
    await write(
      join(dir.path, 'sub', 'bad.ipynb'),
      {},
      code('// first\nthrow new TypeError("a < b & \\u0001\\u001b[31m\\nmore")', 'test'),
      code('// second', 'test'),
      withOutput(code('console.log("a\\nb\\nc")', 'golden'), 'a\nB\nc\n'),
      code('throw new Error("outside of a test")'),
      code('1', 'test'),
    );
    await write(join(dir.path, 'sub', 'skipped.ipynb'), { test: { skip: 'needs a server' } }, code('throw 1'));
    await writeFile(join(dir.path, 'sub', 'broken.ipynb'), '{');
    await write(join(dir.path, 'sub', '.hidden', 'no.ipynb'), {}, code('throw 1'));
    const junit = join(dir.path, 'reports', 'junit.xml');
    const run = await runNotebooks(['test', dir.path, '--junit', junit, '--jobs', '2']);
    assert.equal(run.code, 1, run.errors);
    assert.match(run.output, /ok +n is even/);
    assert.match(run.output, /ok +console\.log\("n".* shows its golden output/);
    assert.match(run.output, /FAIL +first .*: TypeError: a < b & .\n +TypeError: a < b & .\n +more\n/);
    assert.match(run.output, /ok +second/);
    assert.match(
      run.output,
      /FAIL .*shows something else\n +line 4\n +- +"text": "a\\nB\\nc"\n(.*\n)* +\+ +"text": "a\\nb\\nc"/,
    );
    assert.match(run.output, /ERROR runs to its end .*outside of a test/);
    assert.match(run.output, /skip .*needs a server/);
    assert.match(run.output, /4 notebooks, 10 cases: 4 passed, 5 failed, 1 skipped/);
    const xml = await readFile(junit, 'utf8');
    assert.match(xml, /<testsuites tests="10" failures="3" errors="2" skipped="1"/);
    assert.match(xml, /<failure message="TypeError: a &lt; b &amp; \ufffd">/);
    assert.match(xml, /<skipped message="needs a server">/);
  });

  it('keeps its outputs below the folder for them, and never in the place of a notebook', async () => {
    await using dir = await createTempDir();
    const path = join(dir.path, 'a.ipynb');
    await write(path, {}, code('1'));
    const before = await readFile(path);
    const label = relative(process.cwd(), path);
    const outputs = join(dir.path, 'outputs');
    assert.equal((await runNotebooks(['test', path, '--output-dir', outputs])).code, 0);
    assert.ok(
      (
        await readFile(
          join(
            outputs,
            label.replace(/^(?:\.\.\/)+/, (steps) => steps.replaceAll('..', '_')),
          ),
          'utf8',
        )
      ).includes('"succeeded"'),
    );
    const own = await runNotebookTest({
      path,
      run: { outputPath: path, clock: systemClock, log: silentLogger, hostEnv: process.env },
    });
    assert.match(own.cases.map(({ message }) => message).join(), /is the source notebook itself/);
    const page = await runNotebooks(['page', path, path]);
    assert.deepEqual([page.code, /never changed/.test(page.errors)], [1, true]);
    assert.deepEqual(await readFile(path), before);
  });

  it('stores golden outputs when told to, and only then changes a notebook', async () => {
    await using dir = await createTempDir();
    const path = join(dir.path, 'a.ipynb');
    // A kernel gives the MIME types in its own order, a file has them sorted.
    const data = '{ "text/plain": "a", "text/html": "b", "application/json": { z: 1, a: [2] } }';
    const show = `await Deno.jupyter.broadcast("display_data", { data: ${data}, metadata: {}, transient: {} });`;
    await write(path, {}, code(`console.log("new"); ${show}`, 'golden'), code('console.log("other")'));
    const before = await readFile(path);
    const missing = await runNotebooks(['test', path]);
    assert.deepEqual([missing.code, /store it by --update/.test(missing.output)], [1, true]);
    assert.deepEqual(await readFile(path), before);
    assert.equal((await runNotebooks(['test', path, '--update'])).code, 0);
    const [golden, other] = JSON.parse(await readFile(path, 'utf8')).cells;
    const texts = golden.outputs.flatMap(({ text = [] }) => text);
    assert.deepEqual([texts, golden.outputs.length, other.outputs], [['new\n'], 2, []]);
    assert.equal((await runNotebooks(['test', path])).code, 0);
  });

  it('ends with 2 when there is nothing to test', async () => {
    await using dir = await createTempDir();
    assert.equal((await runNotebooks(['test', dir.path])).code, 2);
    assert.equal((await runNotebooks(['test'])).code, 2);
  });
});

describe('finding notebooks and normalising output', () => {
  it('leaves out hidden folders, packages and what is excluded', async () => {
    await using dir = await createTempDir();
    for (const folder of ['.git', 'node_modules', 'a', 'a/out']) await mkdir(join(dir.path, folder));
    for (const name of ['x', '.git/x', 'node_modules/x', 'a/x', 'a/out/x'])
      await writeFile(join(dir.path, `${name}.ipynb`), '');
    assert.deepEqual(await findNotebooks(dir.path, ['**/out/**']), [
      join(dir.path, 'a/x.ipynb'),
      join(dir.path, 'x.ipynb'),
    ]);
  });

  for (const [name, text, result] of [
    ['ansi', '\u001b[31mred\u001b[0m', 'red'],
    ['space', 'a  \nb\n\n', 'a\nb'],
    ['time', 'at 2024-02-29T12:30:00.5Z and 2024-02-29 12:30', 'at <time> and <time>'],
    ['uuid', 'id 0E984725-c51c-4bf4-9960-e1c80e27aba0', 'id <uuid>'],
    ['duration', 'took 12.5 ms of 3s', 'took <duration> of <duration>'],
    ['address', '<f at 0x7f3a2b4c>', '<f at <address>>'],
    ['path', 'in /tmp/a/b.txt: x', 'in <path>: x'],
    ['port', '127.0.0.1:50051', '127.0.0.1:<port>'],
    ['digits:3', '1.23456 x 12345 -0.000123456', '1.23 x 12345 -0.000123'],
  ] as const) {
    it(`replaces what "${name}" says`, () => assert.equal(normaliseText(text, [name]), result));
  }

  it('knows no other names', () => {
    for (const name of ['digits:0', 'digits:x', 'digits:100', 'nothing', 'constructor']) assert.ok(!isNormaliser(name));
  });
});
