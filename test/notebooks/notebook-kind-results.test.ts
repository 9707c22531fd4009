import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunRecord } from '../../notebooks-runner/run/run-record.ts';
import { createEnvSecrets } from '../../notebooks-runner/run/secrets.ts';
import { AppError } from '../../server/core/errors.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import { resultOf } from '../../workers/notebook/result.ts';
import { storeSideFiles } from '../../workers/notebook/side-files.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { createKindBed } from './kind-bed.ts';
import { code, notebookOf } from './notebook-bed.ts';

const emptyRecord: RunRecord = {
  status: 'succeeded',
  startedAtMs: 0,
  endedAtMs: 0,
  durationMs: 0,
  sourceSha256: '',
  isSourceUnchanged: true,
  outputPath: undefined,
  kernel: {
    name: '',
    language: '',
    implementation: '',
    version: '',
    peakMemoryBytes: 0,
    readyAfterMs: undefined,
    isPrewarmed: false,
  },
  parameters: {},
  cells: [],
  failure: undefined,
  isStoppedEarly: false,
  scraps: {},
  warnings: [],
  notebook: { nbformat: 4, nbformat_minor: 5, metadata: {}, cells: [] },
};

describe('what a notebook job keeps', () => {
  it('keeps what the notebook wrote beside its output, but no links, hidden files and inputs', async () => {
    await using bed = await createKindBed();
    await bed.put('in.csv', 'a,b');
    const source = `Deno.mkdirSync("plots/2026", { recursive: true });
      Deno.writeTextFileSync("plots/2026/a.svg", "<svg/>");
      Deno.writeTextFileSync("table.csv", "1,2");
      Deno.writeTextFileSync(".cache", "x");
      Deno.writeTextFileSync("odd:name", "x");
      Deno.symlinkSync("/etc/passwd", "passwd");`;
    await bed.put('n.ipynb', notebookOf(code(source)));
    const inputs = [{ key: 'in.csv', as: 'in.csv' }];
    const { files, omittedFiles } = await bed.run({ notebook: 'n.ipynb', inputs });
    assert.deepEqual(
      files.map(({ path, bytes }) => [path, bytes]),
      [
        ['plots/2026/a.svg', 6],
        ['table.csv', 3],
      ],
    );
    assert.equal(omittedFiles, 1);
    assert.equal(Buffer.from(await bed.objects.read(files[0]?.key ?? '')).toString(), '<svg/>');
    assert.equal(files[1]?.key, 'notebooks/runs/job1/attempt-1/table.csv');
  });

  it('keeps no file whose name holds a secret', async () => {
    await using bed = await createKindBed(createEnvSecrets({ API_TOKEN: 'token-123456' }, ['API_TOKEN']));
    const source =
      'for (const name of ["a.txt", token + ".txt"]) Deno.writeTextFileSync(name, "x"); console.log(token)';
    await bed.put('n.ipynb', notebookOf(code('let token = "";', 'parameters'), code(source)));
    const result = await bed.run({ notebook: 'n.ipynb', parameters: { token: { $secret: 'API_TOKEN' } } });
    assert.deepEqual([result.files.map(({ path }) => path), result.omittedFiles], [['a.txt'], 1]);
    assert.ok(!JSON.stringify(result).includes('token-123456'));
  });

  it('keeps a bounded number of files', async () => {
    await using dir = await createTempDir();
    for (let i = 0; i < 105; i++) await writeFile(join(dir.path, `f${i}`), '');
    const keys: string[] = [];
    const objects: Pick<ObjectStore, 'putFile'> = {
      putFile: async (key) => {
        keys.push(key);
        return { key, bytes: 0, sha256: '', contentType: '', modifiedMs: 0 };
      },
    };
    const where = { dir: dir.path, prefix: 'p/', except: new Set(['f1']), redact: (text: string) => text };
    const { files, omitted } = await storeSideFiles(objects, where, new AbortController().signal);
    assert.deepEqual([files.length, omitted, keys.includes('p/f1')], [100, 4, false]);
  });

  it('ends a run over the limits of its job', async () => {
    await using bed = await createKindBed();
    await bed.put('n.ipynb', notebookOf(code('const held = []; for (;;) held.push(new Uint8Array(8e6).fill(1))')));
    const over = bed.run({ notebook: 'n.ipynb', limits: { memoryMib: 600 } });
    await assert.rejects(over, (error) => error instanceof AppError && /memory/i.test(error.message));
    await bed.put('loud.ipynb', notebookOf(code('for (let i = 0; i < 300; i++) console.log("x".repeat(9_999))')));
    const { outputKey } = await bed.run({ notebook: 'loud.ipynb', limits: { outputMib: 1, cpuSeconds: 600 } });
    const size = (await bed.objects.stat(outputKey))?.bytes ?? 0;
    assert.ok(size > 900_000 && size < 2_000_000, `${size} bytes`);
  });

  it('keeps scraps of any name, and bounds the names too', () => {
    const named = (names: readonly string[], data: number) =>
      Object.fromEntries(names.map((name) => [name, { name, data, encoder: 'json', cellIndex: 0 }]));
    const resultWith = (scraps: RunRecord['scraps']) =>
      resultOf({ ...emptyRecord, scraps }, 'notebooks/x.ipynb', { files: [], omitted: 0 });
    const odd = ['__proto__', 'constructor', '', 'a b', '\ud800', '\u0000'];
    assert.deepEqual(Object.entries(resultWith(named(odd, 1)).scraps).sort(), odd.map((name) => [name, 1]).sort());
    const many = named(
      Array.from({ length: 3_000 }, (_, i) => `${i}`.padStart(1_000, 'x')),
      1,
    );
    const bounded = resultWith(many);
    assert.ok(Buffer.byteLength(JSON.stringify(bounded)) < 300_000);
    assert.ok(Object.keys(bounded.scraps).length > 200 && bounded.omittedScraps.length > 10);
  });

  it('leaves scraps that are too large for a result in the notebook', async () => {
    await using bed = await createKindBed();
    const scrap = (name: string, data: string) =>
      code(
        `await Deno.jupyter.display({ "application/scrapbook.scrap.json+json": { name: "${name}", data: ${data}, encoder: "json", version: 1 } }, { raw: true })`,
      );
    await bed.put('n.ipynb', notebookOf(scrap('large', '"x".repeat(300_000)'), scrap('small', '1')));
    const { scraps, omittedScraps } = await bed.run({ notebook: 'n.ipynb' });
    assert.deepEqual([scraps, omittedScraps], [{ small: 1 }, ['large']]);
  });
});
