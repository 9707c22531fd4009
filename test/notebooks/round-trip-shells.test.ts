import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { translatorFor } from '../../notebooks-runner/parameters/translators/translator-for.ts';

describe('parameters in a real Bash', () => {
  it('arrive exactly as they were given, whatever they hold', async function () {
    const texts = {
      quotes: `"double" 'single' \`back\` \\ \\n $'x'`,
      injection: `$(touch /tmp/never) \${HOME} \`id\` ; id & | > < * ? ~ !x #`,
      controls: '\u0001\u001b[31m\t\r\u007f\u0085\u009b',
      lines: 'a\nb\r\nc\u2028d',
      unicode: 'é 日本 😀 \ufeff',
      dash: '-n',
      empty: '',
    };
    const translator = translatorFor('bash');
    const program = [
      ...Object.entries(texts).map(([name, value]) => translator.assignment(name, value)),
      translator.assignment('list', ['a b', '', null, -0.5, '$x']),
      translator.assignment('object', { 'k ]': 'v"', "'": '$(id)', 'x[1+1]': 'y' }),
      `printf '%s\\0' ${Object.keys(texts)
        .map((name) => `"$${name}"`)
        .join(' ')}`,
      `printf '%s\\0' "\${#list[@]}" "\${list[@]}"`,
      `for key in "\${!object[@]}"; do printf '%s\\0' "$key=\${object[$key]}"; done | sort -z`,
    ].join('\n');
    const shown = await runBash(program, this);
    const objectEntries = ["'=$(id)", 'k ]=v"', 'x[1+1]=y'];
    assert.deepEqual(shown.split('\0').slice(0, -1), [
      ...Object.values(texts),
      '5',
      'a b',
      '',
      '',
      '-0.5',
      '$x',
      ...objectEntries,
    ]);
  });

  it('run nothing, whichever variable that Bash knows they are, and arrive or are refused', async function () {
    const known = await runBash('compgen -v', this);
    const translator = translatorFor('bash');
    // What Bash keeps as an integer it evaluates, which runs what stands in brackets.
    const value = 'x[$(echo ran >&2)]';
    // A locale that there is not arrives too, with a warning.
    const names = known.split('\n').filter((name) => translator.isName(name) && !/^(?:LC_|LANG)/.test(name));
    for (const name of ['RANDOM', 'SRANDOM', 'HISTCMD', 'SECONDS', 'OPTIND']) assert.ok(!names.includes(name), name);
    const each = names.map((name) => `${translator.assignment(name, value)}\nprintf '%s\\n' "$${name}"`);
    assert.equal(await runBash(each.join('\n'), this), names.map(() => `${value}\n`).join(''));
  });
});

/** What Bash prints for the program, which must write no error; skips the test where there is none. */
async function runBash(program: string, context: Mocha.Context): Promise<string> {
  const run = promisify(execFile)('bash', ['--norc', '-c', program], {
    env: { LC_ALL: 'C.UTF-8', PATH: process.env['PATH'] },
  });
  const result = await run.catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOENT' ? context.skip() : Promise.reject(error),
  );
  assert.equal(result.stderr, '');
  return result.stdout;
}
