import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRedactor } from '../../notebooks-runner/outputs/redactor.ts';
import type { RunEvent } from '../../notebooks-runner/run/run-record.ts';
import { createEnvSecrets } from '../../notebooks-runner/run/secrets.ts';
import { Code } from '../../server/core/codes.ts';
import { createLogger } from '../../server/core/log.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { code, codeCells, createNotebookBed, printed } from './notebook-bed.ts';

const secret = 'p@ss "word"/é-0123456789';
const secrets = createEnvSecrets({ DB_PASSWORD: secret, SHORT: 'abc', OTHER: 'not allowed' }, ['DB_PASSWORD', 'SHORT']);
const parameters = { password: { $secret: 'DB_PASSWORD' } };

describe('secrets as parameters', () => {
  it('reach the kernel, but neither cell, output, error, scrap, event, metadata nor log', async () => {
    await using bed = await createNotebookBed();
    const lines: string[] = [];
    const events: RunEvent[] = [];
    const record = await bed.run(
      [
        code('const password = "";', 'parameters'),
        code('console.log(password.length, password); console.error("e " + password)'),
        code('for (const unit of password) { await Deno.stdout.write(new TextEncoder().encode(unit)); }'),
        code('password'),
        code('await Deno.jupyter.display({ "application/json": { [password]: [password] } }, { raw: true })'),
        code('console.log(btoa(unescape(encodeURIComponent(password))), encodeURIComponent(password))'),
        code('console.log(JSON.stringify({ password }))'),
        code(
          'await Deno.jupyter.broadcast("comm_open", { comm_id: "c", target_name: "jupyter.widget", data: { state: { _model_name: "TextModel", value: password } } })',
        ),
        code('console.log(password.slice(0, 10)); throw new Error("failed for " + password)'),
      ],
      {
        parameters,
        secrets,
        onEvent: (event) => events.push(event),
        log: createLogger({ level: 'debug', write: (line) => lines.push(line) }),
      },
    );
    assert.equal(record.status, 'failed');
    const document = await readFile(bed.outputPath, 'utf8');
    const everything = [document, JSON.stringify(record), JSON.stringify(events), ...lines].join('\n');
    for (const form of [
      secret,
      JSON.stringify(secret).slice(1, -1),
      encodeURIComponent(secret),
      btoa('p@ss "word"/'),
    ]) {
      assert.ok(!everything.includes(form), form);
    }
    const cells = codeCells(record.notebook);
    assert.equal(printed(cells[2]), `${secret.length} [secret DB_PASSWORD]\n`);
    assert.equal(printed(cells[2], 'stderr'), 'e [secret DB_PASSWORD]\n');
    assert.match(cells[1]?.source ?? '', /NOTEBOOK_SECRET_DB_PASSWORD/);
    assert.match(JSON.stringify(cells[5]?.outputs), /\{"\[secret DB_PASSWORD\]":\["\[secret DB_PASSWORD\]"\]\}/);
    assert.deepEqual(record.parameters, { password: { $secret: 'DB_PASSWORD' } });
    assert.match(document, /"value": "\[secret DB_PASSWORD\]"/);
    assert.equal(record.failure?.evalue, 'failed for [secret DB_PASSWORD]');
    assert.equal(printed(cells[9]), `${secret.slice(0, 10)}\n`, 'text that only begins like a secret is kept');
  });

  it('are refused when they are not allowed, not there, too short to redact, nested, or named oddly', async () => {
    await using bed = await createNotebookBed();
    for (const [name, reason] of [
      ['OTHER', 'NOTEBOOK_SECRET_MISSING'],
      ['ABSENT', 'NOTEBOOK_SECRET_MISSING'],
      ['SHORT', 'NOTEBOOK_SECRET_TOO_SHORT'],
    ] as const) {
      await rejectsWith(
        bed.run([code('1')], { parameters: { a: { $secret: name } }, secrets }),
        Code.FAILED_PRECONDITION,
        reason,
      );
    }
    await rejectsWith(bed.run([code('1')], { parameters }), Code.FAILED_PRECONDITION, 'NOTEBOOK_SECRET_MISSING');
    for (const value of [[{ $secret: 'DB_PASSWORD' }], { $secret: '../x' }, { a: { $secret: 'DB_PASSWORD' } }]) {
      const run = bed.run([code('1')], { parameters: { a: value }, secrets });
      await rejectsWith(run, Code.INVALID_ARGUMENT, 'NOTEBOOK_PARAMETERS_INVALID');
    }
  });

  it('are not told by a kernel that writes its environment and does not start', async () => {
    await using bed = await createNotebookBed();
    // Whole in one line, and in one that the end of what it wrote begins amid.
    const leak = 'echo "$NOTEBOOK_SECRET_DB_PASSWORD"; for i in 1 2; do head -c 467 /dev/zero | tr "\\0" x; echo; done';
    const spec = { argv: ['sh', '-c', `${leak}; env | grep SECRET; exit 3`], display_name: '', language: 'typescript' };
    await mkdir(join(bed.path, 'specs', 'leaky'), { recursive: true });
    await writeFile(join(bed.path, 'specs', 'leaky', 'kernel.json'), JSON.stringify(spec));
    const kernels = { dirs: [join(bed.path, 'specs')] };
    const run = bed.run([code('1')], { parameters, secrets, kernels, kernelName: 'leaky' });
    const error = await rejectsWith(run, Code.UNAVAILABLE, 'KERNEL_START_FAILED');
    const document = await readFile(bed.outputPath, 'utf8');
    assert.match(error.message, /xxx\nNOTEBOOK_SECRET_DB_PASSWORD=\[secret DB_PASSWORD\]/);
    for (const text of [String(error.stack), JSON.stringify(error.metadata), String(error.cause), document]) {
      assert.ok(!text.includes(secret.slice(0, 12)) && !text.includes(secret.slice(-6)), text);
    }
    assert.match(document, /KernelStartFailed/);
  });
});

describe('the redactor', () => {
  it('finds a secret in text that comes in pieces of any size, and passes the rest on in order', () => {
    const text = `a${secret}b p@ss "w c${secret.slice(0, -1)}`;
    for (let size = 1; size < 12; size++) {
      const stream = createRedactor({ S: secret }).stream();
      let passed = '';
      for (let at = 0; at < text.length; at += size) passed += stream.push(text.slice(at, at + size));
      assert.equal(passed + stream.rest(), `a[secret S]b p@ss "w c${secret.slice(0, -1)}`);
    }
  });

  it('takes the longer of two secrets that begin alike, wherever the text is cut', () => {
    const secrets = { USER: 'alice99', LOGIN: 'alice99:s3cret-word', PIN: '99887766' };
    const text = 'alice99 alice99:s3cret-word alice99:s3cret-wor 99887766 alice99';
    const wanted = '[secret USER] [secret LOGIN] [secret USER]:s3cret-wor [secret PIN] [secret USER]';
    assert.equal(createRedactor(secrets).text(text), wanted);
    for (let size = 1; size < 30; size++) {
      const stream = createRedactor(secrets).stream();
      let passed = '';
      for (let at = 0; at < text.length; at += size) passed += stream.push(text.slice(at, at + size));
      assert.equal(passed + stream.rest(), wanted, `in pieces of ${size}`);
    }
  });

  it('finds a secret that is shown as a number, in HTML, and in a URL as other languages write it', () => {
    const { text, value } = createRedactor({ PIN: '99887766', S: `a&b<c>"d"'/e f(1)*` });
    assert.deepEqual(value({ pin: 99887766, other: 5, list: [1.99887766] }), {
      pin: '[secret PIN]',
      other: 5,
      list: ['1.[secret PIN]'],
    });
    for (const form of [
      `a&amp;b&lt;c&gt;"d"'/e f(1)*`,
      `a&amp;b&lt;c&gt;&quot;d&quot;&#x27;/e f(1)*`,
      `a&amp;b&lt;c&gt;&quot;d&quot;&#39;/e f(1)*`,
      'a%26b%3Cc%3E%22d%22%27/e%20f%281%29%2A',
      'a%26b%3Cc%3E%22d%22%27%2Fe+f%281%29%2A',
    ]) {
      assert.equal(text(`x ${form} y`), 'x [secret S] y');
    }
  });

  it('takes the lines of a longer secret one by one', () => {
    const key = '-----BEGIN KEY-----\nabcdefghijkl\nmnopqrstuvwx\n-----END KEY-----';
    assert.equal(createRedactor({ KEY: key }).text('x mnopqrstuvwx y'), 'x [secret KEY] y');
  });
});
