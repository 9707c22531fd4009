import assert from 'node:assert/strict';
import { readGivenParameters } from '../../server/cli/notebooks/given-parameters.ts';
import { readRunArguments } from '../../server/cli/notebooks/run-options.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';

const read = (yaml: string) => readGivenParameters(readRunArguments(['in.ipynb', '-y', yaml]));

describe('parameters as YAML on the command line', () => {
  it('are read as YAML 1.2: what looks like a word, a day or a zip code in another version stays text', async () => {
    const given = await read(
      'country: NO\nanswer: yes\nday: 2024-02-29\ntime: 12:30:45\ngrouped: 1_000\noctal: 0o10\nhex: 0x1F\nempty: ~\n' +
        'wide: 9007199254740993\nlarge: 1e400\nnan: .NaN\nminus: -0.0',
    );
    assert.deepEqual(given, {
      country: 'NO',
      answer: 'yes',
      day: '2024-02-29',
      time: '12:30:45',
      grouped: '1_000',
      octal: 8,
      hex: 31,
      empty: null,
      wide: 9007199254740993n,
      large: Number.POSITIVE_INFINITY,
      nan: Number.NaN,
      minus: -0,
    });
  });

  it('keep tagged bytes, moments and sets, and merged maps, at any depth', async () => {
    const given = await read(
      'base: &base {a: 1, b: 2}\nmerged: {<<: *base, b: 3}\nparts: [!!binary AP8=, !!timestamp 2024-02-29]\n' +
        'set: !!set {x, y}\n__proto__: {a: 1}',
    );
    assert.deepEqual(Object.keys(given), ['base', 'merged', 'parts', 'set', '__proto__']);
    assert.deepEqual(given['merged'], { a: 1, b: 3 });
    assert.deepEqual(given['parts'], [Buffer.from([0, 255]), new Date('2024-02-29')]);
    assert.deepEqual(given['set'], ['x', 'y']);
  });

  for (const [what, yaml, says] of [
    ['hold themselves', 'a: &a [*a]', /nests too deeply, or in itself/],
    ['multiply without end', billionLaughs(), /Excessive alias count/],
    ['have a tag that nobody knows', 'a: !!python/object:os.system x', /Unresolved tag/],
    ['name one twice', 'a: 1\na: 2', /unique/],
    ['are more than one document', 'a: 1\n---\nb: 2', /multiple documents/],
    ['have lists for keys', 'a: {[1, 2]: x}', /a key is a list/],
    ['have nothing for a key', 'a: {~: x}', /a key is a list, an object or null/],
    ['are a list', '- a', /must map names to values/],
    ['are cut off', "a: 'x", /Missing closing/],
  ] as const) {
    it(`are refused when they ${what}`, async () => {
      const error = await rejectsWith(read(yaml), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
      assert.match(error.message, says);
    });
  }
});

function billionLaughs(): string {
  const lines = ['a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]'];
  for (let i = 1; i < 9; i++) {
    lines.push(
      `a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(', ')}]`,
    );
  }
  return lines.join('\n');
}
