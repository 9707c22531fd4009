import { type NotebooksPython, openNotebooksPython } from '../../scripts/notebooks-python.ts';

/** Python with Jupyter's own packages; where it cannot be had the test or hook is skipped, with the reason in its title. */
export async function openPythonOrSkip(context: Mocha.Context): Promise<NotebooksPython> {
  context.timeout(240_000);
  const found = await openNotebooksPython();
  if (typeof found !== 'string') return found;
  if (context.test) context.test.title += ` (skipped: ${found})`;
  return context.skip();
}
