import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { findNotebooks } from '../../../notebooks-runner/testing/find-notebooks.ts';
import { runNotebookTest } from '../../../notebooks-runner/testing/run-notebook-test.ts';
import { formatJunit, type TestSuite } from '../../../notebooks-runner/testing/test-report.ts';
import { systemClock } from '../../core/clock.ts';
import { createLogger } from '../../core/log.ts';
import { kernelHost } from './kernel-host.ts';
import { readSeconds, usage } from './run-options.ts';

const options = {
  junit: { type: 'string' },
  exclude: { type: 'string', multiple: true },
  update: { type: 'boolean', default: false },
  jobs: { type: 'string', short: 'j' },
  'output-dir': { type: 'string' },
  kernel: { type: 'string', short: 'k' },
  'kernels-dir': { type: 'string', multiple: true },
  'execution-timeout': { type: 'string' },
} as const;

/** `showrunner notebooks test DIR…`: exit code 0 when every case passed, 1 otherwise, 2 when there is nothing to test. */
export async function testCommand(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  if (positionals.length === 0) throw usage('notebooks test takes folders or notebooks');
  const lanes = Number(values.jobs ?? Math.max(1, Math.floor(availableParallelism() / 2)));
  if (!Number.isInteger(lanes) || lanes < 1 || lanes > 64) throw usage('--jobs must be 1 to 64');
  const paths = (await Promise.all(positionals.map((root) => findNotebooks(resolve(root), values.exclude)))).flat();
  if (paths.length === 0) throw usage(`no notebook in ${positionals.join(', ')}`);
  const log = createLogger({ level: 'error' });
  const host = { ...kernelHost(env, values['kernels-dir']), clock: systemClock, log };
  const cellTimeoutMs = readSeconds('execution-timeout', values['execution-timeout']);
  const suites: TestSuite[] = [];
  const next = paths.entries();
  const work = async () => {
    for (const [index, path] of next) {
      const label = relative(process.cwd(), path);
      const outputPath = values['output-dir'] === undefined ? undefined : join(values['output-dir'], below(label));
      const run = { ...host, kernelName: values.kernel, outputPath, cellTimeoutMs };
      const suite = await runNotebookTest({ path, label, run, isUpdate: values.update });
      suites[index] = suite;
      show(suite);
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, paths.length) }, work));
  if (values.junit !== undefined) {
    await mkdir(dirname(resolve(values.junit)), { recursive: true });
    await writeFile(values.junit, formatJunit(suites));
  }
  return summarise(suites);
}

/** The path without steps upwards, which would lead out of the folder that it is put into. */
function below(path: string): string {
  return path.replace(/(?<![^/\\])\.\.(?![^/\\])/g, '_');
}

const marks = { passed: 'ok', failed: 'FAIL', error: 'ERROR', skipped: 'skip' } as const;

function show({ path, cases }: TestSuite): void {
  const lines = cases.map(({ status, name, durationMs, message, detail }) => {
    const head = `  ${marks[status].padEnd(5)} ${name} (${Math.round(durationMs)} ms)${message === '' ? '' : `: ${message}`}`;
    const isShown = (status === 'failed' || status === 'error') && detail !== '' && detail !== message;
    return isShown ? `${head}\n${detail.replace(/^/gm, '        ')}` : head;
  });
  process.stdout.write(`${path}\n${lines.join('\n')}\n`);
}

function summarise(suites: readonly TestSuite[]): number {
  const all = suites.flatMap(({ cases }) => cases);
  const count = (status: keyof typeof marks) => all.filter((testCase) => testCase.status === status).length;
  const bad = count('failed') + count('error');
  process.stdout.write(
    `\n${suites.length} notebooks, ${all.length} cases: ${count('passed')} passed, ${bad} failed, ${count('skipped')} skipped\n`,
  );
  return bad === 0 ? 0 : 1;
}
