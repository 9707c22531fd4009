import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasTag } from '../../notebooks-runner/nbformat/notebook.ts';
import { checkNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { injectedTag, injectParameters } from '../../notebooks-runner/parameters/inject-parameters.ts';
import { decodeTaggedValues, encodeTaggedValues } from '../../notebooks-runner/parameters/tagged-value.ts';
import type { RunRecord } from '../../notebooks-runner/run/run-record.ts';
import { readGivenParameters } from '../../server/cli/notebooks/given-parameters.ts';
import { fillPath } from '../../server/cli/notebooks/path-template.ts';
import { readRunArguments } from '../../server/cli/notebooks/run-options.ts';
import { nastyValues } from './nasty-values.ts';
import { code, createNotebookBed, notebookOf } from './notebook-bed.ts';

const given = (...args: string[]) => readGivenParameters(readRunArguments(['in.ipynb', ...args]));

/** The injected lines of a notebook with this cell of defaults and this schema. */
function injected(
  parameters: Record<string, unknown>,
  { defaults = '', schema, language = 'python' }: { defaults?: string; schema?: object; language?: string } = {},
): string[] {
  const cells = defaults === '' ? [code('1')] : [code(defaults, 'parameters')];
  const document = {
    ...notebookOf(...cells),
    metadata: schema === undefined ? {} : { showrunner: { parameters: schema } },
  };
  const { notebook, index = 0 } = injectParameters(checkNotebook(document).notebook, parameters, language);
  return (notebook.cells[index]?.source ?? '').split('\n').slice(1);
}

describe('whole numbers that are floats', () => {
  it('stay so from the command line and from YAML and JSON files, at any depth', async () => {
    const args = ['-p', 'a', '1.0', '-p', 'b', '1', '-p', 'c', '1e3', '-p', 'd', '-0', '-p', 'e', '1e20'];
    const yaml = '{f: 1.0, g: 1, h: [2.0, {i: -3.0, j: 1e2}], k: 100000000000000000000}';
    assert.deepEqual(injected(await given(...args, '-y', yaml)), [
      'f = 1.0',
      'g = 1',
      'h = [2.0, {"i": -3.0, "j": 100.0}]',
      'k = 100000000000000000000',
      'a = 1.0',
      'b = 1',
      'c = 1000.0',
      'd = 0',
      'e = 1e+20',
    ]);
  });

  it('are what a parameter gets that is declared as a float, and only such a one', () => {
    const defaults =
      'a = 0.5\nb: float = 1\nc: float | None = None\nd = 1\ne: "Optional[int]" = None\nf: int | float = 1\ng = [0.5]';
    const whole = { a: 1, b: -2, c: 3, d: 4, e: 1e20, f: 5, g: [1] };
    assert.deepEqual(injected(whole, { defaults }), [
      'a = 1.0',
      'b = -2.0',
      'c = 3.0',
      'd = 4',
      'e = 100000000000000000000',
      'f = 5',
      'g = [1]',
    ]);
    const odd = { a: -0, b: { $bigint: '7' }, c: null, d: { $float: '4.0' }, e: -0, f: { $float: '5.0' } };
    assert.deepEqual(injected(odd, { defaults }), ['a = -0.0', 'b = 7.0', 'c = None', 'd = 4', 'e = 0', 'f = 5.0']);
    for (const wide of ['9007199254740993', '1'.repeat(400)]) {
      assert.deepEqual(injected({ a: { $bigint: wide } }, { defaults }), [`a = ${wide}`]);
    }
  });

  it('are what a schema calls a number, where the cell of defaults does not say otherwise', () => {
    const properties = {
      a: { type: 'number', minimum: 1, enum: [1, 2] },
      b: { type: ['number', 'integer'] },
      c: { type: 'integer' },
      d: { type: 'array', items: { type: 'number' } },
      e: { type: ['number', 'null'], default: 8 },
    };
    const parameters = { a: 1, b: 2, c: { $float: '3.0' }, d: [4, 0.5], b2: 1 };
    const schema = { properties, additionalProperties: true };
    assert.deepEqual(injected(parameters, { schema, language: 'scala' }), [
      'val a = 1.0',
      'val b = 2',
      'val c = 3',
      'val d = Seq(4.0, 0.5)',
      'val b2 = 1',
      'val e = 8.0',
    ]);
    assert.deepEqual(injected({ a: 1 }, { schema, defaults: 'a = 2\ne = 1' }), ['a = 1']);
    // Where numbers are text, arithmetic takes no point; where they are all floats, wide ones stay what they are.
    assert.deepEqual(injected({ a: 1 }, { schema, language: 'bash' }), ['a=1', 'e=8']);
    assert.deepEqual(injected({ c: 1e20, e: null }, { schema, language: 'typescript' }), [
      'const c = 100000000000000000000;',
      'const e = null;',
    ]);
  });

  it('are written as such in the languages that tell the two apart', () => {
    const line = (language: string) => injected({ x: { $float: '1.0' } }, { language })[0];
    assert.deepEqual(['typescript', 'python', 'julia', 'c#', 'f#', 'powershell', 'bash'].map(line), [
      'const x = 1;',
      'x = 1.0',
      'x = 1.0',
      'var x = 1.0;',
      'let x = 1.0',
      '$x = 1.0',
      'x=1.0',
    ]);
  });

  it('fill paths as Python writes them', async () => {
    const values = await given('-p', 'a', '1.0', '-p', 'b', 'nan', '-p', 'c', '1e16', '-p', 'd', '0.00001');
    assert.equal(fillPath('{a}|{a:05}|{a:5}|{a:.2f}|{b}|{c}|{d}', values), '1.0|001.0|  1.0|1.00|nan|1e+16|1e-05');
  });
});

describe('parameters of an earlier run', () => {
  it('can be noted as JSON and read back the same', () => {
    for (const [name, value] of Object.entries(nastyValues)) {
      const text = JSON.stringify(encodeTaggedValues(value));
      assert.deepEqual(decodeTaggedValues(JSON.parse(text)), value, name);
    }
  });

  it('are the same in the run that resumes it, also those that JSON does not have', async () => {
    await using bed = await createNotebookBed();
    const values = {
      wide: 2n ** 63n - 1n,
      none: Number.NaN,
      zero: -0,
      when: new Date('2024-02-29T12:30:00Z'),
      bytes: new Uint8Array([0, 255]),
      list: [1n, 'a'],
      plain: 'x',
    };
    const failed = await bed.run([code('throw new Error("broken")')], { parameters: values });
    assert.equal(failed.status, 'failed');
    const earlier = join(bed.path, 'earlier.ipynb');
    await writeFile(earlier, await readFile(bed.outputPath));
    const record = await bed.run([code('1')], { resumeFrom: earlier });
    const linesOf = ({ notebook }: RunRecord) =>
      notebook.cells
        .find((cell) => hasTag(cell, injectedTag))
        ?.source.split('\n')
        .sort();
    assert.deepEqual(linesOf(record), linesOf(failed));
    assert.ok(linesOf(record)?.includes('const wide = 9223372036854775807n;'));
    const { exact_parameters: exact } = record.notebook.metadata['showrunner'] as { exact_parameters: object };
    assert.deepEqual(Object.keys(exact), ['bytes', 'list', 'none', 'when', 'wide', 'zero']);
  });
});
