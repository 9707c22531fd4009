import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { renderNotebookHtml } from '../../../notebooks-runner/html/render-notebook-html.ts';
import { checkNotebook } from '../../../notebooks-runner/nbformat/read-notebook.ts';
import { loadNotebook } from './load-notebook.ts';
import { refuseSource } from './refuse-source.ts';
import { usage } from './run-options.ts';

/** `showrunner notebooks page IN [OUT.html]`: a notebook as one sanitised page; to stdout without OUT. */
export async function pageCommand(args: readonly string[]): Promise<number> {
  const { positionals } = parseArgs({ args: [...args], options: {}, allowPositionals: true });
  const [input, output, ...more] = positionals;
  if (input === undefined || more.length > 0) throw usage('notebooks page takes a notebook and a file to write');
  await refuseSource(input, [output]);
  const page = renderNotebookHtml(checkNotebook(await loadNotebook(input)).notebook, { title: basename(input) });
  if (output === undefined) process.stdout.write(page);
  else await writeFile(output, page);
  return 0;
}
