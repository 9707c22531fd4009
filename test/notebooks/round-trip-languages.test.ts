import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isList, type ParameterValue, WholeFloat } from '../../notebooks-runner/parameters/parameter-value.ts';
import { translatorFor } from '../../notebooks-runner/parameters/translators/translator-for.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { nastyValues } from './nasty-values.ts';
import { csharpShow, juliaShow, rShow, scalaShow } from './show-in-languages.ts';

/** A language whose interpreter is tried where the machine has it. */
interface Language {
  readonly name: string;
  readonly file: string;
  /** Commands one after the other, run in the folder of the file; the last prints a line for each value. */
  readonly commands: readonly (readonly string[])[];
  /** Code before and behind the assignments, and how a value is shown. */
  readonly show: { readonly before: string; readonly after: string; value(name: string): string };
  /** Values that it cannot hold. */
  readonly refused: readonly string[];
  /** R has floats only. */
  readonly hasIntegers: boolean;
}

const languages: readonly Language[] = [
  {
    name: 'r',
    file: 'p.R',
    // As its kernel reads a cell: whole, where the command itself would read lines of a few thousand bytes.
    commands: [['Rscript', '-e', 'for (e in parse("p.R", encoding = "UTF-8", keep.source = FALSE)) eval(e)']],
    show: rShow,
    refused: ['controls', 'surrogate', 'int64', 'negative64', 'huge', 'wideMixed'],
    hasIntegers: false,
  },
  {
    name: 'julia',
    file: 'p.jl',
    commands: [['julia', '--startup-file=no', '--compile=min', 'p.jl']],
    show: juliaShow,
    refused: ['surrogate'],
    hasIntegers: true,
  },
  { name: 'scala', file: 'P.scala', commands: [['scala', 'P.scala']], show: scalaShow, refused: [], hasIntegers: true },
  {
    name: 'c#',
    file: 'p.cs',
    commands: [
      ['mcs', '-r:System.Numerics', 'p.cs'],
      ['mono', 'p.exe'],
    ],
    show: csharpShow,
    refused: [],
    hasIntegers: true,
  },
];

describe('parameters in real interpreters of the other languages', () => {
  for (const language of languages) {
    const needed = language.commands.map(([command]) => command).join(' and ');
    it(`arrive in ${language.name} exactly as they were given (needs ${needed})`, async function () {
      this.timeout(180_000);
      const { name, show, hasIntegers } = language;
      const translator = translatorFor(name);
      const given = Object.entries(nastyValues).filter(([, value]) => translator.faultsOf(value, '').length === 0);
      const refused = Object.keys(nastyValues).filter((key) => !given.some(([other]) => other === key));
      assert.deepEqual(refused, language.refused);
      const program = [
        show.before,
        ...given.map(([key, value]) => translator.assignment(`value_${key}`, value)),
        ...given.map(([key]) => show.value(`value_${key}`)),
        show.after,
      ].join('\n');
      const lines = (await runProgram(language, program, this)).split('\n');
      for (const [index, [key, value]] of given.entries()) assert.equal(lines[index], textOf(value, hasIntegers), key);
    });
  }
});

/** What the program prints; skips the test where a command is missing. */
async function runProgram({ file, commands }: Language, program: string, context: Mocha.Context): Promise<string> {
  await using dir = await createTempDir();
  await writeFile(join(dir.path, file), program);
  let printed = '';
  for (const [command = '', ...args] of commands) {
    const options = { cwd: dir.path, maxBuffer: 64 * 1_048_576, env: { ...process.env, LC_ALL: 'C.UTF-8' } };
    const result = await promisify(execFile)(command, args, options).catch((error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? context.skip() : Promise.reject(error),
    );
    printed = result.stdout;
  }
  return printed;
}

/** A text that is equal for equal values of one type only; show-in-languages.ts makes the same. */
function textOf(value: ParameterValue, hasIntegers: boolean): string {
  const show = (item: ParameterValue) => textOf(item, hasIntegers);
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string')
    return `s${value
      .split('')
      .map((unit) => unit.charCodeAt(0))
      .join('.')}`;
  if (typeof value === 'bigint') return hasIntegers ? `i${value}` : floatText(Number(value));
  if (value instanceof WholeFloat) return floatText(value.value);
  if (typeof value === 'number') {
    const isInteger = hasIntegers && Number.isSafeInteger(value) && !Object.is(value, -0);
    return isInteger ? `i${value}` : floatText(value);
  }
  if (isList(value)) return `[${value.map(show).join(',')}]`;
  const entries = Object.entries(value).map(([key, item]) => `${show(key)}:${show(item)}`);
  return `{${entries.sort().join(',')}}`;
}

/** By its bits, since texts of one number differ between languages. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return 'fnan';
  const bits = Buffer.alloc(8);
  bits.writeDoubleBE(value);
  return `f${bits.toString('hex')}`;
}
