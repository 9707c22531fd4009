import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { asFloat } from '../../notebooks-runner/parameters/parameter-value.ts';
import { journalPathOf } from '../../notebooks-runner/run/journal-file.ts';
import { readValue } from '../../server/cli/notebooks/given-parameters.ts';
import { fillPath, pathBuiltins } from '../../server/cli/notebooks/path-template.ts';
import type { ChildScript } from '../support/child-script.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { code, codeCells, notebookOf, printed } from './notebook-bed.ts';
import { runNotebooks, startNotebooks } from './notebooks-command.ts';

const cells = [
  code('const who = "nobody"; // whom to greet\nlet count: number = 1;\nconst flags: string[] = [];', 'parameters'),
  code('for (let i = 0; i < count; i++) console.log("hello " + who); console.error(flags.join())'),
];

async function bed(...given: object[]) {
  const dir = await createTempDir();
  const source = join(dir.path, 'in.ipynb');
  await writeFile(source, JSON.stringify(notebookOf(...(given.length > 0 ? given : cells))));
  return {
    path: dir.path,
    source,
    output: join(dir.path, 'out', 'out.ipynb'),
    cellsOf: async (path: string) => codeCells(readNotebook(await readFile(path)).notebook),
    [Symbol.asyncDispose]: dir[Symbol.asyncDispose],
  };
}

describe('showrunner notebooks run', function () {
  this.timeout(60_000);

  it('takes parameters in every way that papermill does, later ones winning, and writes all that it is told', async () => {
    await using at = await bed();
    const file = join(at.path, 'params.yaml');
    await writeFile(file, 'who: from file\ncount: 9\nflags:\n  - yes\n  - 2024-01-01\n');
    const stdout = join(at.path, 'logs', 'stdout.txt');
    const stderr = join(at.path, 'stderr.txt');
    const base64 = Buffer.from('count: 8').toString('base64');
    const args = [at.source, join(at.path, 'out', 'out-{who}-{count:03d}.ipynb')];
    const run = await runNotebooks([
      'run',
      ...args,
      ...['-f', file, '-b', base64, '-y', '{count: 3}', '-p', 'count', '2', '-r', 'who', '007', '--no-progress-bar'],
      ...['--stdout-file', stdout, '--stderr-file', stderr, '--log-output', '--report-mode'],
      ...['--html', join(at.path, 'page.html'), '--start-timeout', '50', '--execution-timeout', '50', '--cwd', at.path],
    ]);
    assert.equal(run.code, 0, run.errors);
    const [, injected, greeting] = await at.cellsOf(join(at.path, 'out', 'out-007-002.ipynb'));
    assert.equal(
      injected?.source,
      '// Parameters\nlet count = 2;\nconst who = "007";\nconst flags = ["yes", "2024-01-01"];',
    );
    assert.equal(printed(greeting), 'hello 007\nhello 007\n');
    assert.deepEqual(greeting?.metadata['jupyter'], { source_hidden: true });
    assert.equal(await readFile(stdout, 'utf8'), 'hello 007\nhello 007\n');
    assert.equal(await readFile(stderr, 'utf8'), 'yes,2024-01-01\n');
    assert.match(run.errors, /Executing Cell 3-+\nhello 007/);
    assert.match(await readFile(join(at.path, 'page.html'), 'utf8'), /hello 007/);
    assert.deepEqual(await readdir(join(at.path, 'out')), ['out-007-002.ipynb']);
  });

  it('prepares without running', async () => {
    await using at = await bed();
    const run = await runNotebooks(['run', at.source, at.output, '--prepare-only', '-p', 'count', '4.0']);
    assert.equal(run.code, 0, run.errors);
    const [, injected, greeting] = await at.cellsOf(at.output);
    assert.deepEqual([injected?.source, greeting?.outputs], ['// Parameters\nlet count = 4;', []]);
    assert.deepEqual([injected?.metadata['tags'], greeting?.metadata['tags']], [['injected-parameters'], []]);
    const { metadata } = readNotebook(await readFile(at.output)).notebook;
    assert.deepEqual(metadata['papermill'], {
      default_parameters: {},
      environment_variables: {},
      input_path: at.source,
      output_path: at.output,
      parameters: { count: 4 },
      version: 'showrunner-1',
    });
    // What is prepared again with other parameters says nothing of those before.
    assert.deepEqual(metadata['showrunner'], { exact_parameters: { count: { $float: '4.0' } } });
    await runNotebooks(['run', at.output, `${at.output}2`, '--prepare-only', '-p', 'count', '5']);
    assert.deepEqual(readNotebook(await readFile(`${at.output}2`)).notebook.metadata['showrunner'], undefined);
  });

  it('reads stdin and writes stdout', async () => {
    await using at = await bed();
    const child = startNotebooks(['run', at.source, '-', '-p', 'who', 'you']);
    assert.equal(await child.ended, 0, child.errors());
    assert.equal(printed(codeCells(readNotebook(child.lines.join('\n')).notebook)[2]), 'hello you\n');
  });

  it('tells a notebook its paths when asked to, whether it declares them or not, and need not save in between', async () => {
    await using at = await bed(code('const who = "x"', 'parameters'), code('console.log(PAPERMILL_OUTPUT_PATH)'));
    const run = await runNotebooks(['run', at.source, at.output, '--inject-paths', '--autosave-cell-every', '0']);
    assert.equal(run.code, 0, run.errors);
    assert.equal(printed((await at.cellsOf(at.output))[2]), `${at.output}\n`);
  });

  it('writes into a pipe, which stays one, as it does to stdout', async function () {
    await using at = await bed();
    const pipe = join(at.path, 'pipe');
    await promisify(execFile)('mkfifo', [pipe]).catch(() => this.skip());
    const [run, text] = await Promise.all([runNotebooks(['run', at.source, pipe]), readFile(pipe, 'utf8')]);
    assert.equal(run.code, 0, run.errors);
    assert.equal(printed(codeCells(readNotebook(text).notebook)[1]), 'hello nobody\n');
    assert.ok((await stat(pipe)).isFIFO());
    assert.deepEqual((await readdir(at.path)).sort(), ['in.ipynb', 'pipe']);
  });

  it('shows what a notebook takes', async () => {
    await using at = await bed();
    const help = await runNotebooks(['run', at.source, '--help-notebook']);
    assert.equal(help.code, 0, help.errors);
    assert.match(help.output, /who +string +"nobody" +whom to greet\ncount +number +1\nflags +string\[\] +\[\]/);
    const json = await runNotebooks(['inspect', at.source, '--json']);
    assert.deepEqual(
      JSON.parse(json.output).parameters.map((p: { name: string }) => p.name),
      ['who', 'count', 'flags'],
    );
    await using none = await bed(code('1'));
    assert.equal((await runNotebooks(['inspect', none.source])).code, 1);
  });

  for (const [what, source, exit, more] of [
    ['fails', 'throw new Error("no")', 1, []],
    ['exits its kernel', 'Deno.exit(0)', 138, []],
    ['is killed', 'Deno.kill(Deno.pid, "SIGKILL"); await new Promise((r) => setTimeout(r, 5_000))', 138, []],
    ['runs out of time', 'await new Promise((r) => setTimeout(r, 60_000))', 124, ['--execution-timeout', '0.5']],
  ] as const) {
    it(`ends with ${exit} when the notebook ${what}`, async () => {
      await using at = await bed(code(source));
      const run = await runNotebooks(['run', at.source, at.output, ...more]);
      assert.equal(run.code, exit, run.errors);
      assert.match(run.errors, /in cell 1: \w+/);
    });
  }

  it('ends with 2 when it is used wrongly and with 1 for parameters, paths or notebooks that are not right', async () => {
    await using at = await bed();
    const misuses = [
      [[], 2, /needs a notebook/],
      [[at.source, at.output, '--nonsense'], 2, /nonsense/],
      [[at.source, at.output, '-p', 'count'], 2, /a name and a value/],
      [[at.source, at.output, '--execution-timeout', 'soon'], 2, /seconds/],
      [[at.source, at.output, '-p', 'cuont', '1'], 1, /declares no such parameter/],
      [[at.source, at.output, '-p', 'x;y', '1'], 1, /not a variable name/],
      [[at.source, at.output, '-y', '[1]'], 1, /must map names to values/],
      [[at.source, at.output, '-y', 'a: &a [*a]'], 1, /./],
      [[at.source, join(at.path, '{nobody}.ipynb')], 1, /which no parameter gives/],
      [[at.source, at.source], 1, /never changed/],
      [[at.source, at.output, '--html', at.source], 1, /never changed/],
      [[at.source, at.output, '--stdout-file', at.source], 1, /never changed/],
      [[join(at.path, 'absent.ipynb'), at.output], 1, /cannot be read/],
      [[at.source, at.output, '-k', 'nope'], 1, /no kernel "nope"/],
    ] as const;
    const check = async ([args, exit, text]: (typeof misuses)[number]) => {
      const run = await runNotebooks(['run', ...args]);
      assert.deepEqual([run.code, text.test(run.errors)], [exit, true], `${args.join(' ')}: ${run.errors}`);
    };
    await Promise.all(misuses.map(check));
    assert.deepEqual(await readdir(at.path), ['in.ipynb']);
  });

  it('takes a secret from the environment only when it is named', async () => {
    await using at = await bed(code('const key = "";', 'parameters'), code('console.log(key.length, key)'));
    const args = ['run', at.source, at.output, '-y', '{key: {$secret: API_TOKEN}}'];
    const refused = await runNotebooks(args, { API_TOKEN: 'very secret' });
    assert.deepEqual([refused.code, /not allowed/.test(refused.errors)], [1, true]);
    const run = await runNotebooks([...args, '--secret', 'API_TOKEN'], { API_TOKEN: 'very secret' });
    assert.equal(run.code, 0, run.errors);
    assert.equal(printed((await at.cellsOf(at.output))[2]), '11 [secret API_TOKEN]\n');
    assert.ok(!(await readFile(at.output, 'utf8')).includes('very secret'));
  });

  it('is cancelled by SIGINT and stores what it has; a killed one is recovered by the next command', async () => {
    await using at = await bed(code('console.log("begun"); await new Promise((r) => setTimeout(r, 60_000))'));
    await using child = startNotebooks(['run', at.source, at.output, '--log-output']);
    await untilShown(child, () => child.errors().includes('begun'));
    child.process.kill('SIGINT');
    assert.equal(await child.ended, 130, child.errors());
    assert.equal(printed((await at.cellsOf(at.output))[0]), 'begun\n');
    await using killed = startNotebooks(['run', at.source, at.output]);
    // What was shown a moment ago may not have been written yet: only the journal counts.
    const journal = journalPathOf(at.output);
    await untilShown(killed, async () => (await readFile(journal, 'utf8').catch(() => '')).includes('begun\\n'));
    await killed.kill();
    const recovered = await runNotebooks(['recover', at.output]);
    assert.match(recovered.output, /: recovered$/m);
    const [cell] = await at.cellsOf(at.output);
    assert.equal(printed(cell), 'begun\n');
    assert.match(JSON.stringify(cell?.metadata['showrunner']), /"status":"killed"/);
  });
});

/** Waits as long as the test itself may take, but not for a command that has ended. */
async function untilShown(child: ChildScript, isShown: () => boolean | Promise<boolean>): Promise<void> {
  const hasEnded = () => child.process.exitCode !== null || child.process.signalCode !== null;
  await waitUntil('it runs', async () => (await isShown()) || hasEnded(), 55_000);
  assert.ok(!hasEnded(), `it ended: ${child.errors()}`);
}

describe('values and paths of the command line', () => {
  it('takes only what is written as a number for one', () => {
    const values = [
      'True',
      'true',
      'None',
      '5',
      '-5',
      '007',
      '1_000',
      ' 5',
      '1.5',
      '.5',
      '1e3',
      'nan',
      '-inf',
      '9007199254740993',
      '1.2.3',
      '',
    ];
    assert.deepEqual(
      values.map((text) => readValue({ text, kind: 'inferred' })),
      [
        true,
        'true',
        null,
        5,
        -5,
        '007',
        '1_000',
        ' 5',
        1.5,
        0.5,
        asFloat(1_000),
        Number.NaN,
        Number.NEGATIVE_INFINITY,
        9007199254740993n,
        '1.2.3',
        '',
      ],
    );
  });

  it('fills paths as Python would', () => {
    const values = {
      ...pathBuiltins(Date.UTC(2024, 1, 29, 4, 5, 6, 78)),
      a: 7,
      b: -7,
      s: 'x',
      f: 1.239,
      o: { k: { l: 'deep' } },
      t: true,
    };
    for (const [template, filled] of [
      ['{a}-{a:03d}-{b:03d}', '7-007--07'],
      ['{s:4}|{a:4}', 'x   |   7'],
      ['{f:.2f}', '1.24'],
      ['{o[k][l]}', 'deep'],
      ['{{a}} {t}', '{a} True'],
      ['{pm[current_datetime_utc]:%Y%m%d-%H%M%S.%f-%j}', '20240229-040506.078000-060'],
      ['{pm[current_datetime_utc]}', '2024-02-29 04:05:06.078000'],
    ] as const) {
      assert.equal(fillPath(template, values), filled);
    }
    assert.match(fillPath('{pm[run_uuid]}', values), /^[\da-f-]{36}$/);
    for (const bad of ['{x}', '{o}', '{a', 'a}', '{a:xyz}', '{o[constructor]}', '{}']) {
      assert.throws(() => fillPath(bad, values), /path/, bad);
    }
  });
});
