import { writeFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { writeNotebook } from '../../../notebooks-runner/nbformat/write-notebook.ts';
import { prepareNotebook } from '../../../notebooks-runner/run/prepare-notebook.ts';
import { runNotebook } from '../../../notebooks-runner/run/run-notebook.ts';
import type { RunNotebookOptions } from '../../../notebooks-runner/run/run-options.ts';
import type { RunRecord } from '../../../notebooks-runner/run/run-record.ts';
import { createEnvSecrets } from '../../../notebooks-runner/run/secrets.ts';
import { systemClock } from '../../core/clock.ts';
import type { LogLevel } from '../../core/log.ts';
import { readGivenParameters } from './given-parameters.ts';
import { kernelHost } from './kernel-host.ts';
import { loadNotebook } from './load-notebook.ts';
import { fillPath, pathBuiltins } from './path-template.ts';
import { type RunArguments, readRunArguments, readSeconds, runHelp, usage } from './run-options.ts';
import { createRunOutput } from './run-output.ts';

/**
 * `showrunner notebooks run IN [OUT]`: runs a notebook, with the options of papermill. Exit codes: 0 done, 1 the
 * notebook failed, 2 used wrongly, 124 out of time, 130 cancelled, 138 the kernel died.
 */
export async function runCommand(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const given = readRunArguments(args);
  const { values, input, output } = given;
  if (values.help === true) {
    process.stdout.write(runHelp);
    return 0;
  }
  if (input === undefined) throw usage('notebooks run needs a notebook, see --help');
  const parameters = await readGivenParameters(given);
  const names = { ...pathBuiltins(systemClock.now()), ...parameters };
  const inputPath = input === '-' ? '-' : fillPath(input, names);
  if (values['help-notebook'] === true) {
    const { showParameters } = await import('./inspect.ts');
    return showParameters(await loadNotebook(inputPath), inputPath, false);
  }
  const outputPath = output === undefined || output === '-' ? output : fillPath(output, names);
  const options: RunNotebookOptions = {
    ...readRunOptions(given, env),
    ...(inputPath === '-' ? { notebook: await loadNotebook(inputPath) } : { inputPath }),
    outputPath: outputPath === '-' ? undefined : outputPath,
    ...(values.resume !== undefined && Object.keys(parameters).length === 0 ? {} : { parameters }),
  };
  if (values['prepare-only'] === true) {
    const notebook = await prepareNotebook(options);
    if (outputPath === '-') process.stdout.write(writeNotebook(notebook));
    return 0;
  }
  const record = await execute(options, given, inputPath);
  if (outputPath === '-') process.stdout.write(writeNotebook(record.notebook));
  if (values.html !== undefined) {
    // Loaded only where it is needed, as it takes a tenth of a second.
    const { renderNotebookHtml } = await import('../../../notebooks-runner/html/render-notebook-html.ts');
    await writeFile(fillPath(values.html, names), renderNotebookHtml(record.notebook, { title: basename(inputPath) }));
  }
  return report(record);
}

function readRunOptions({ values }: RunArguments, env: NodeJS.ProcessEnv) {
  const autosaveMs = readSeconds('autosave-cell-every', values['autosave-cell-every']);
  const select = { onlyTags: values['only-tag'], skipTags: values['skip-tag'], from: values.from, until: values.until };
  const startTimeoutMs = readSeconds('start-timeout', values['start-timeout']);
  return {
    ...kernelHost(
      env,
      readLevel(values['log-level']),
      values['kernels-dir']?.map((dir) => resolve(dir)),
    ),
    kernelName: values.kernel ?? kernelOfLanguage(values.language),
    cwd: resolve(values.cwd ?? '.'),
    cellTimeoutMs: readSeconds('execution-timeout', values['execution-timeout']),
    runTimeoutMs: readSeconds('run-timeout', values['run-timeout']),
    idleTimeoutMs: readSeconds('idle-timeout', values['idle-timeout']),
    isReport: values['report-mode'],
    resumeFrom: values.resume,
    secrets: createEnvSecrets(env, values.secret ?? []),
    select,
    ...(startTimeoutMs === undefined ? {} : { startTimeoutMs }),
    ...(autosaveMs === undefined ? {} : { saveIntervalMs: autosaveMs }),
  };
}

const kernelOf = new Map(Object.entries({ typescript: 'deno', javascript: 'deno', python: 'python3', r: 'ir' }));

function kernelOfLanguage(language: string | undefined): string | undefined {
  if (language === undefined) return undefined;
  const name = kernelOf.get(language.toLowerCase());
  if (name === undefined) throw usage(`--language: no kernel is known for "${language}"; name one with --kernel`);
  return name;
}

const levels: Readonly<Record<string, LogLevel>> = {
  notset: 'debug',
  debug: 'debug',
  info: 'info',
  warning: 'warn',
  warn: 'warn',
  error: 'error',
  critical: 'error',
};

function readLevel(text = 'warning'): LogLevel {
  const level = levels[text.toLowerCase()];
  if (level === undefined) throw usage('--log-level must be debug, info, warning or error');
  return level;
}

/** Runs with its output shown; the first SIGINT or SIGTERM cancels the run, which then still stores what it has. */
async function execute(options: RunNotebookOptions, { values }: RunArguments, input: string): Promise<RunRecord> {
  const isLogging = values['log-output'] === true;
  const shown = createRunOutput({
    title: basename(input, '.ipynb'),
    isLogging,
    hasBar: values['progress-bar'] ?? (!isLogging && process.stderr.isTTY === true),
    stdoutFile: values['stdout-file'],
    stderrFile: values['stderr-file'],
    terminal: process.stderr,
  });
  const interrupt = new AbortController();
  const cancel = () => interrupt.abort();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, cancel);
  try {
    return await runNotebook({ ...options, signal: interrupt.signal, onEvent: shown.receive });
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.removeListener(name, cancel);
    await shown.close();
  }
}

/** Says what went wrong and gives the exit code. */
function report({ status, failure, warnings }: RunRecord): number {
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  if (failure === undefined) return 0;
  const cell = failure.cellIndex === undefined ? '' : ` in cell ${failure.cellIndex + 1}`;
  process.stderr.write(`${status}${cell}: ${failure.ename}: ${failure.evalue}\n`);
  for (const line of failure.traceback) process.stderr.write(`${line}\n`);
  if (status === 'timed_out') return 124;
  if (status === 'cancelled') return 130;
  return status === 'killed' || failure.ename === 'KernelExited' ? 138 : 1;
}
