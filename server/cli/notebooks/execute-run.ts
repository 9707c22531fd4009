import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { HeadStart } from '../../../notebooks-runner/kernel/head-start.ts';
import type { Notebook } from '../../../notebooks-runner/nbformat/notebook.ts';
import { writeNotebook } from '../../../notebooks-runner/nbformat/write-notebook.ts';
import { isSink } from '../../../notebooks-runner/run/output-target.ts';
import { prepareNotebook } from '../../../notebooks-runner/run/prepare-notebook.ts';
import { runNotebook } from '../../../notebooks-runner/run/run-notebook.ts';
import type { RunNotebookOptions } from '../../../notebooks-runner/run/run-options.ts';
import type { RunRecord } from '../../../notebooks-runner/run/run-record.ts';
import { createEnvSecrets } from '../../../notebooks-runner/run/secrets.ts';
import { systemClock } from '../../core/clock.ts';
import { createLogger, type LogLevel } from '../../core/log.ts';
import type { LaunchAheadOptions } from './launch-ahead.ts';
import { loadNotebook } from './load-notebook.ts';
import { fillPath } from './path-template.ts';
import { refuseSource } from './refuse-source.ts';
import { type RunArguments, readSeconds, usage } from './run-options.ts';
import { createRunOutput } from './run-output.ts';

interface ExecuteRunOptions {
  readonly given: RunArguments;
  readonly env: NodeJS.ProcessEnv;
  readonly options: Omit<LaunchAheadOptions, 'inputPath'>;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** What names in paths stand for. */
  readonly names: Readonly<Record<string, unknown>>;
  /** `-` for stdin. */
  readonly inputPath: string;
  /** `-` for stdout. */
  readonly outputPath: string | undefined;
  /** Cancels the run, which then still stores what it has. */
  readonly signal: AbortSignal;
  /** A kernel that is coming up already. */
  readonly ahead: HeadStart | undefined;
}

/** Prepares or runs the notebook and gives the exit code. */
export async function executeRun(request: ExecuteRunOptions): Promise<number> {
  const { given, parameters, names, inputPath, ahead } = request;
  // What is no file is written at the end, as stdout is: nothing can be put in its place.
  const { outputPath: target = '' } = request;
  const sink = target === '-' || (await isSink(target)) ? target : '';
  const outputPath = sink === '' ? request.outputPath : undefined;
  const { values } = given;
  const log = createLogger({ level: readLevel(values['log-level']) });
  const html = values.html === undefined ? undefined : fillPath(values.html, names);
  await refuseSource(inputPath, [html, values['stdout-file'], values['stderr-file']]);
  const options: RunNotebookOptions = {
    ...request.options,
    ...readRunOptions(given, request.env),
    ...(inputPath === '-' ? { notebook: await loadNotebook(inputPath) } : { inputPath }),
    outputPath,
    labels: { input: inputPath, output: target },
    ...(values.resume !== undefined && Object.keys(parameters).length === 0 ? {} : { parameters }),
    signal: request.signal,
    clock: systemClock,
    log,
  };
  if (values['prepare-only'] === true) {
    const notebook = await prepareNotebook(options);
    await writeSink(sink, notebook);
    return 0;
  }
  const pool = ahead?.poolFor({ clock: systemClock, log });
  const record = await runShown({ ...options, pool }, given, inputPath);
  await writeSink(sink, record.notebook);
  if (html !== undefined) {
    // Loaded only where it is needed, as it takes a tenth of a second.
    const { renderNotebookHtml } = await import('../../../notebooks-runner/html/render-notebook-html.ts');
    await writeFile(html, renderNotebookHtml(record.notebook, { title: basename(inputPath) }));
  }
  return report(record);
}

async function writeSink(path: string, notebook: Notebook): Promise<void> {
  if (path === '-') process.stdout.write(writeNotebook(notebook));
  else if (path !== '') await writeFile(path, writeNotebook(notebook));
}

function readRunOptions({ values }: RunArguments, env: NodeJS.ProcessEnv) {
  const autosaveMs = readAutosave(values['autosave-cell-every']);
  return {
    cellTimeoutMs: readSeconds('execution-timeout', values['execution-timeout']),
    runTimeoutMs: readSeconds('run-timeout', values['run-timeout']),
    idleTimeoutMs: readSeconds('idle-timeout', values['idle-timeout']),
    isReport: values['report-mode'],
    resumeFrom: values.resume,
    secrets: createEnvSecrets(env, values.secret ?? []),
    select: { onlyTags: values['only-tag'], skipTags: values['skip-tag'], from: values.from, until: values.until },
    ...(autosaveMs === undefined ? {} : { saveIntervalMs: autosaveMs }),
  };
}

/** As in papermill 0 turns it off: the journal keeps what a crash would take, and the end is saved in any case. */
function readAutosave(text: string | undefined): number | undefined {
  return /^0+(?:\.0*)?$/.test(text ?? '') ? Number.POSITIVE_INFINITY : readSeconds('autosave-cell-every', text);
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

/** Runs with its output shown. */
async function runShown(options: RunNotebookOptions, { values }: RunArguments, input: string): Promise<RunRecord> {
  const isLogging = values['log-output'] === true;
  const shown = createRunOutput({
    title: basename(input, '.ipynb'),
    isLogging,
    hasBar: values['progress-bar'] ?? (!isLogging && process.stderr.isTTY === true),
    stdoutFile: values['stdout-file'],
    stderrFile: values['stderr-file'],
    terminal: process.stderr,
  });
  try {
    return await runNotebook({ ...options, onEvent: shown.receive });
  } finally {
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
