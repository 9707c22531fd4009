import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { NotebooksPython } from '../../scripts/notebooks-python.ts';
import { code, createNotebookBed, markdown, notebookOf } from './notebook-bed.ts';
import { openPythonOrSkip } from './python-bed.ts';

const run = promisify(execFile);

describe('an output notebook in the readers of others', () => {
  let python: NotebooksPython;

  before(async function () {
    python = await openPythonOrSkip(this);
  });

  const cells = [
    markdown('# é'),
    code('text = "a"\ncount: int = 1', 'parameters'),
    code('print(text * count)\ntext'),
    code('raise ValueError("on purpose")', 'raises-exception'),
    code('1 / 0'),
    code('2'),
  ];

  it('is valid for nbformat, byte for byte as it would write it', async () => {
    await using bed = await createNotebookBed();
    const kernels = { dirs: [python.kernelsDir] };
    await bed.run(cells, { kernels, kernelName: 'python3', parameters: { text: 'b', count: 2 } });
    const check = `import nbformat, sys
notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
assert nbformat.writes(notebook) + "\\n" == open(sys.argv[1], encoding="utf-8").read()`;
    await run(python.python, ['-c', check, bed.outputPath]);
  });

  it('shows its parameters, states and failure to papermill, which can run it again', async () => {
    await using bed = await createNotebookBed();
    const kernels = { dirs: [python.kernelsDir] };
    await bed.run(cells, { kernels, kernelName: 'python3', parameters: { text: 'b', count: 2 } });
    const read = `import json, sys
from papermill.iorw import load_notebook_node
from papermill.inspection import inspect_notebook
from papermill.execute import raise_for_execution_errors
path = sys.argv[1]
notebook = load_notebook_node(path)
found = {"parameters": notebook.metadata.papermill.parameters,
         "exception": notebook.metadata.papermill.exception,
         "states": [c.metadata.papermill.get("status") for c in notebook.cells if c.cell_type == "code"],
         "declared": sorted(inspect_notebook(path))}
try:
    raise_for_execution_errors(notebook, path)
except Exception as error:
    found["raised"] = type(error).__name__
print(json.dumps(found))`;
    const { stdout } = await run(python.python, ['-c', read, bed.outputPath]);
    assert.deepEqual(JSON.parse(stdout), {
      parameters: { text: 'b', count: 2 },
      exception: true,
      states: ['completed', 'completed', 'completed', 'completed', 'failed', 'pending'],
      declared: ['count', 'text'],
      raised: 'PapermillExecutionError',
    });
  });

  it('runs in nbclient and then in papermill as a source', async () => {
    await using bed = await createNotebookBed();
    const kernels = { dirs: [python.kernelsDir] };
    await bed.run(cells.slice(0, 3), { kernels, kernelName: 'python3', parameters: { text: 'b' } });
    const execute = `import nbformat, sys
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=60).execute()
nbformat.write(notebook, sys.argv[2])`;
    const again = join(bed.path, 'again.ipynb');
    await run(python.python, ['-c', execute, bed.outputPath, again]);
    const third = join(bed.path, 'third.ipynb');
    const flags = ['--no-progress-bar', '-p', 'count', '3'];
    await run(python.python, ['-m', 'papermill', again, third, ...flags]);
    assert.match(await readFile(third, 'utf8'), /"aaa\\n"/);
  });

  it('comes to the same text as the output of papermill for the same source', async () => {
    await using bed = await createNotebookBed();
    const source = join(bed.path, 'source.ipynb');
    const kernelspec = { name: 'python3', display_name: 'Python 3', language: 'python' };
    const document = { ...notebookOf(...cells.slice(0, 4)), metadata: { kernelspec } };
    await writeFile(source, JSON.stringify(document));
    const theirs = join(bed.path, 'theirs.ipynb');
    const flags = ['--no-progress-bar', '-p', 'text', 'b', '-p', 'count', '2'];
    await run(python.python, ['-m', 'papermill', source, theirs, ...flags]).catch(() => undefined);
    const kernels = { dirs: [python.kernelsDir] };
    await bed.run([], { inputPath: source, kernels, parameters: { text: 'b', count: 2 } });
    const shown = async (path: string) => {
      const notebook = JSON.parse(await readFile(path, 'utf8')) as { cells: Record<string, unknown>[] };
      const plain = notebook.cells.filter((cell) => !JSON.stringify(cell['metadata']).includes('papermill-error'));
      return plain.slice(0, 4).map(({ cell_type, outputs }) => [cell_type, outputs]);
    };
    assert.deepEqual(await shown(bed.outputPath), await shown(theirs));
  });
});
