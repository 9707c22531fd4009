import { parseArgs } from 'node:util';
import { kernelNameOf, languageOf } from '../../../notebooks-runner/nbformat/notebook.ts';
import { checkNotebook } from '../../../notebooks-runner/nbformat/read-notebook.ts';
import { hasParametersCell } from '../../../notebooks-runner/parameters/inject-parameters.ts';
import { inspectParameters } from '../../../notebooks-runner/parameters/inspect-parameters.ts';
import { formatTable } from '../terminal/table.ts';
import { loadNotebook } from './load-notebook.ts';
import { usage } from './run-options.ts';

/** `showrunner notebooks inspect IN [--json]`: the parameters of a notebook; nothing is run. */
export async function inspectCommand(args: readonly string[]): Promise<number> {
  const options = { json: { type: 'boolean', default: false } } as const;
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  const [input, ...more] = positionals;
  if (input === undefined || more.length > 0) throw usage('notebooks inspect takes one notebook');
  return showParameters(await loadNotebook(input), input, values.json);
}

const languageOfKernel: Readonly<Record<string, string>> = { deno: 'typescript', python3: 'python' };

/** Prints the parameters; gives 1, as papermill does, when the notebook declares none. */
export function showParameters(document: unknown, input: string, isJson: boolean): number {
  const { notebook } = checkNotebook(document);
  const kernel = kernelNameOf(notebook) ?? '';
  const language = languageOf(notebook) ?? languageOfKernel[kernel] ?? '';
  const inspection = inspectParameters(notebook, language, kernel);
  if (isJson) {
    process.stdout.write(`${JSON.stringify({ kernel, language, ...inspection }, null, 2)}\n`);
    return 0;
  }
  const { parameters } = inspection;
  if (parameters.length === 0) {
    const why = hasParametersCell(notebook) ? 'none could be read' : 'no cell is tagged "parameters"';
    process.stdout.write(`${input} declares no parameters: ${why}\n`);
    return 1;
  }
  const rows = parameters.map(({ name, type, defaultText, choices, isRequired, isSecret, help }) => [
    name,
    type,
    isRequired ? 'required' : defaultText.replace(/\s+/g, ' ').slice(0, 60),
    [isSecret ? 'secret' : '', choices.join(' | '), help].filter(Boolean).join('; '),
  ]);
  process.stdout.write(`${formatTable([['parameter', 'type', 'default', ''], ...rows])}\n`);
  return 0;
}
