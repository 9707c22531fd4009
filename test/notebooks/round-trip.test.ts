import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { isPlainInteger, type ParameterValue, WholeFloat } from '../../notebooks-runner/parameters/parameter-value.ts';
import { translatorFor } from '../../notebooks-runner/parameters/translators/translator-for.ts';
import { nastyValues } from './nasty-values.ts';
import { code, createNotebookBed } from './notebook-bed.ts';

const nasty: Readonly<Record<string, ParameterValue>> = { ...nastyValues, élan_名: 'unicode name' };

/** A text that is equal for equal values only, written in the kernel's own language below. */
function describeValue(value: ParameterValue): string {
  if (typeof value === 'bigint') return `n${value}`;
  if (typeof value === 'number') return Object.is(value, -0) ? 'f-0' : `f${value}`;
  if (typeof value === 'string') return `s${[...Array(value.length).keys()].map((i) => value.charCodeAt(i)).join('.')}`;
  if (typeof value !== 'object' || value === null) return String(value);
  if (value instanceof WholeFloat) return `f${value.value}`;
  if (Array.isArray(value)) return `[${value.map(describeValue).join(',')}]`;
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${describeValue(key)}:${describeValue((value as Record<string, ParameterValue>)[key] ?? null)}`).join(',')}}`;
}

describe('parameters in a real kernel', () => {
  it('arrive in TypeScript exactly as they were given, whatever they hold', async () => {
    await using bed = await createNotebookBed();
    const show = `class WholeFloat {} const describeValue = ${describeValue.toString().replace(/: ParameterValue|: string/g, '')};`;
    const values = Object.keys(nasty).map((name) => `${JSON.stringify(name)}: describeValue(${name})`);
    const emit = `await Deno.jupyter.display({ "application/scrapbook.scrap.json+json":
      { name: "values", encoder: "json", version: 1, data: { ${values.join(', ')} } } }, { raw: true });`;
    const record = await bed.run([code(show), code(emit)], { parameters: nasty });
    assert.equal(record.failure, undefined);
    const expected = Object.fromEntries(Object.entries(nasty).map(([name, value]) => [name, describeValue(value)]));
    assert.deepEqual(record.scraps['values']?.data, expected);
  });

  it('override their defaults for every later cell, but not what the defaults cell derived from them', async () => {
    await using bed = await createNotebookBed();
    const cells = [code('let a = 1, twice = a * 2;', 'parameters'), code('console.log(a, twice)')];
    const record = await bed.run(cells, { parameters: { a: 9 } });
    assert.deepEqual(record.notebook.cells[2]?.cell_type === 'code' && record.notebook.cells[2].outputs, [
      { output_type: 'stream', name: 'stdout', text: '9 2\n' },
    ]);
    assert.deepEqual(record.parameters, { a: 9 });
  });

  it('arrive in Python exactly as they were given (needs python3)', async function () {
    const translator = translatorFor('python');
    const lines = Object.entries(nasty).map(([name, value]) => translator.assignment(name, value));
    const units = `[str(int.from_bytes(b[i:i+2], "little")) for b in [v.encode("utf-16-le", "surrogatepass")] for i in range(0, len(b), 2)]`;
    const program = [
      ...lines,
      'import json, math',
      'def number(v):',
      '  if v != v: return "fNaN"',
      '  if math.isinf(v): return "fInfinity" if v > 0 else "f-Infinity"',
      '  return "f-0" if v == 0 and math.copysign(1, v) < 0 else float(v).hex()',
      'def show(v):',
      '  if v is None or v is True or v is False: return {None: "null", True: "true", False: "false"}[v]',
      `  if isinstance(v, str): return "s" + ".".join(${units})`,
      '  if isinstance(v, int): return "n" + str(v)',
      '  if isinstance(v, float): return number(v)',
      '  if isinstance(v, list): return "[" + ",".join(map(show, v)) + "]"',
      '  return "{" + ",".join(show(k) + ":" + show(v[k]) for k in sorted(v, key=lambda k: k.encode("utf-16-be", "surrogatepass"))) + "}"',
      `print(json.dumps([show(v) for v in [${Object.keys(nasty).join(', ')}]]))`,
    ].join('\n');
    const run = promisify(execFile)('python3', ['-X', 'utf8', '-c', program]);
    const result = await run.catch((error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? undefined : Promise.reject(error),
    );
    if (result === undefined) this.skip();
    const found = JSON.parse(result.stdout) as string[];
    for (const [index, [name, value]] of Object.entries(nasty).entries()) {
      assert.equal(toPythonText(value), found[index], name);
    }
  });
});

/** As describeValue, with the two differences of Python: whole numbers are integers, floats are compared in hex. */
function toPythonText(value: ParameterValue): string {
  if (typeof value === 'bigint') return `n${value}`;
  if (Array.isArray(value)) return `[${value.map(toPythonText).join(',')}]`;
  if (value instanceof WholeFloat) return hexOf(value.value);
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, item]) => `${describeValue(key)}:${toPythonText(item)}`).join(',')}}`;
  }
  if (typeof value !== 'number' || !Number.isFinite(value) || Object.is(value, -0)) return describeValue(value);
  return isPlainInteger(value) ? `n${value}` : hexOf(value);
}

/** A double as Python's float.hex writes it. */
function hexOf(value: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const mantissa = (bits & 0xfffffffffffffn).toString(16).padStart(13, '0');
  const power = exponent === 0 ? -1022 : exponent - 1023;
  return `${value < 0 ? '-' : ''}0x${exponent === 0 ? 0 : 1}.${mantissa}p${power < 0 ? '' : '+'}${power}`;
}
