import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ParameterValue } from '../../notebooks-runner/parameters/parameter-value.ts';
import { translatorFor } from '../../notebooks-runner/parameters/translators/translator-for.ts';
import { code, createNotebookBed } from './notebook-bed.ts';

/** Values that break naive rendering, by a name that both languages take. */
const nasty: Readonly<Record<string, ParameterValue>> = {
  quotes: `"double" 'single' \`back\` \\ \\\\ \\n`,
  injection: `\${process.exit(1)} \`\${1+1}\` {x} %s #{x} $x`,
  ending: '"; throw new Error("injected"); //',
  commentEnd: '*/ // <!-- --> #',
  lines: 'a\nb\rc\r\nd\u2028e\u2029f\u0085g\u000bh\u000ci',
  controls: '\u0000\u0001\u001b[31m\u007f\u009b\ufeff\u00ad',
  unicode: 'é ü 日本 😀 e\u0301 \u202e \ufffd',
  surrogate: 'a\ud800b\udfff',
  empty: '',
  int64: 9223372036854775807n,
  negative64: -9223372036854775808n,
  huge: 10n ** 40n,
  tiny: 5e-324,
  large: 1.7976931348623157e308,
  minusZero: -0,
  fraction: 0.1,
  exponent: 1e21,
  notANumber: Number.NaN,
  infinite: Number.POSITIVE_INFINITY,
  minusInfinite: Number.NEGATIVE_INFINITY,
  nothing: null,
  yes: true,
  no: false,
  nested: [[], [[1, 'x', null, [true, { a: [{}] }]]], Number.NaN, 5n, -0],
  keys: {
    '': 1,
    'a b': 2,
    '"': 3,
    '\n\u2028': 4,
    constructor: 5,
    'é😀': { 1: 'numeric' },
    ...JSON.parse('{"__proto__": {"x": 1}}'),
  },
  élan_名: 'unicode name',
};

/** A text that is equal for equal values only, written in the kernel's own language below. */
function describeValue(value: ParameterValue): string {
  if (typeof value === 'bigint') return `n${value}`;
  if (typeof value === 'number') return Object.is(value, -0) ? 'f-0' : `f${value}`;
  if (typeof value === 'string') return `s${[...Array(value.length).keys()].map((i) => value.charCodeAt(i)).join('.')}`;
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map(describeValue).join(',')}]`;
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${describeValue(key)}:${describeValue((value as Record<string, ParameterValue>)[key] ?? null)}`).join(',')}}`;
}

describe('parameters in a real kernel', () => {
  it('arrive in TypeScript exactly as they were given, whatever they hold', async () => {
    await using bed = await createNotebookBed();
    const show = `const describeValue = ${describeValue.toString().replace(/: ParameterValue|: string/g, '')};`;
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
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, item]) => `${describeValue(key)}:${toPythonText(item)}`).join(',')}}`;
  }
  if (typeof value !== 'number' || !Number.isFinite(value) || Object.is(value, -0)) return describeValue(value);
  if (Number.isInteger(value) && !String(value).includes('e')) return `n${value}`;
  return hexOf(value);
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
