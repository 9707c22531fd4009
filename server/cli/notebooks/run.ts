import { resolve } from 'node:path';
import { readGivenParameters } from './given-parameters.ts';
import { kernelHost } from './kernel-host.ts';
import { launchAhead } from './launch-ahead.ts';
import { loadNotebook } from './load-notebook.ts';
import { fillPath, pathBuiltins } from './path-template.ts';
import { type RunArguments, readRunArguments, readSeconds, usage } from './run-options.ts';

/**
 * `showrunner notebooks run IN [OUT]`: runs a notebook, with the options of papermill. Exit codes: 0 done, 1 the
 * notebook failed or cannot be run as it is or with these parameters, 2 wrong options, 124 out of time, 130 cancelled, 138 the kernel died.
 */
export async function runCommand(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const given = readRunArguments(args);
  const { values, input, output } = given;
  if (input === undefined) throw usage('notebooks run needs a notebook, see --help');
  const options = readKernelOptions(given, env);
  const interrupt = new AbortController();
  const cancel = () => interrupt.abort();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, cancel);
  // What runs notebooks is loaded while the kernel comes up; not before, since loading holds everything else up.
  const ahead = isCertain(given, input) ? await launchAhead({ ...options, inputPath: input }) : undefined;
  try {
    const parameters = await readGivenParameters(given);
    const names = { ...pathBuiltins(Date.now()), ...parameters };
    const inputPath = input === '-' ? '-' : fillPath(input, names);
    if (values['help-notebook'] === true) {
      const { showParameters } = await import('./inspect.ts');
      return showParameters(await loadNotebook(inputPath), inputPath, false);
    }
    const outputPath = output === undefined || output === '-' ? output : fillPath(output, names);
    const { executeRun } = await import('./execute-run.ts');
    const { signal } = interrupt;
    return await executeRun({ given, env, options, parameters, names, inputPath, outputPath, signal, ahead });
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.removeListener(name, cancel);
    await ahead?.[Symbol.asyncDispose]();
  }
}

/** Whether it is plain, before parameters are read, that this notebook will run, and with which kernel. */
function isCertain({ values }: RunArguments, input: string): boolean {
  const isOther = values['help-notebook'] === true || values['prepare-only'] === true || values.secret !== undefined;
  return !isOther && input !== '-' && !/[{}]/.test(input);
}

/** The options that say which kernel runs the notebook, and where. */
function readKernelOptions({ values }: RunArguments, env: NodeJS.ProcessEnv) {
  const startTimeoutMs = readSeconds('start-timeout', values['start-timeout']);
  return {
    ...kernelHost(env, values['kernels-dir']),
    kernelName: values.kernel ?? kernelOfLanguage(values.language),
    cwd: resolve(values.cwd ?? '.'),
    ...(startTimeoutMs === undefined ? {} : { startTimeoutMs }),
  };
}

const kernelOf = new Map(Object.entries({ typescript: 'deno', javascript: 'deno', python: 'python3', r: 'ir' }));

function kernelOfLanguage(language: string | undefined): string | undefined {
  if (language === undefined) return undefined;
  const name = kernelOf.get(language.toLowerCase());
  if (name === undefined) throw usage(`--language: no kernel is known for "${language}"; name one with --kernel`);
  return name;
}
