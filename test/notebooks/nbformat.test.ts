import assert from 'node:assert/strict';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { writeNotebook } from '../../notebooks-runner/nbformat/write-notebook.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { code, markdown, notebookOf } from './notebook-bed.ts';

async function faultOf(document: unknown): Promise<string> {
  const text = typeof document === 'string' || document instanceof Uint8Array ? document : JSON.stringify(document);
  const error = await rejectsWith((async () => readNotebook(text))(), Code.INVALID_ARGUMENT, 'NOTEBOOK_INVALID');
  return error.metadata['field'] ?? 'no field';
}

const good = { cell_type: 'code', id: 'a', metadata: {}, source: '1', outputs: [], execution_count: null };
const withCell = (change: object) => ({ ...notebookOf(), cells: [good, { ...good, id: 'b', ...change }] });
const withOutput = (output: unknown) =>
  withCell({ outputs: [{ output_type: 'stream', name: 'stdout', text: '' }, output] });

const malformed: readonly [what: string, document: unknown, field: string][] = [
  ['text that is no JSON', '{"cells": [', ''],
  ['bytes that are no UTF-8', new Uint8Array([0x7b, 0xff, 0x7d]), ''],
  ['NaN, which JSON has not', '{"nbformat": NaN}', ''],
  ['a list', [], ''],
  ['no version', { metadata: {}, cells: [] }, 'nbformat'],
  ['version 3', { nbformat: 3, nbformat_minor: 0, metadata: {}, worksheets: [] }, 'nbformat'],
  ['a broken minor version', { ...notebookOf(), nbformat_minor: '4' }, 'nbformat_minor'],
  ['no metadata', { nbformat: 4, nbformat_minor: 5, cells: [] }, 'metadata'],
  ['cells that are no list', { ...notebookOf(), cells: {} }, 'cells'],
  ['a cell that is no object', { ...notebookOf(), cells: [good, 7] }, 'cells[1]'],
  ['an unknown cell type', withCell({ cell_type: 'heading' }), 'cells[1].cell_type'],
  ['a cell without metadata', withCell({ metadata: null }), 'cells[1].metadata'],
  ['tags that are no list', withCell({ metadata: { tags: 'parameters' } }), 'cells[1].metadata.tags'],
  ['a source that is a number', withCell({ source: 5 }), 'cells[1].source'],
  ['a source line that is no string', withCell({ source: ['a', 5] }), 'cells[1].source[1]'],
  ['an id with spaces', withCell({ id: 'a b' }), 'cells[1].id'],
  ['a broken execution count', withCell({ execution_count: -1 }), 'cells[1].execution_count'],
  ['outputs that are no list', withCell({ outputs: null }), 'cells[1].outputs'],
  ['an output that is no object', withOutput('x'), 'cells[1].outputs[1]'],
  ['an unknown output type', withOutput({ output_type: 'toString' }), 'cells[1].outputs[1].output_type'],
  ['a stream without a name', withOutput({ output_type: 'stream', text: '' }), 'cells[1].outputs[1].name'],
  [
    'an error without a traceback',
    withOutput({ output_type: 'error', ename: '', evalue: '' }),
    'cells[1].outputs[1].traceback',
  ],
  [
    'a display whose text is a number',
    withOutput({ output_type: 'display_data', metadata: {}, data: { 'text/plain': 5 } }),
    'cells[1].outputs[1].data["text/plain"]',
  ],
  ['attachments that are no object', withCell({ cell_type: 'markdown', attachments: [] }), 'cells[1].attachments'],
  [
    'an attachment that is no bundle',
    withCell({ cell_type: 'raw', attachments: { 'a.png': 'x' } }),
    'cells[1].attachments["a.png"]',
  ],
  ['a document nested without end', `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`, ''],
];

describe('reading a notebook', () => {
  for (const [what, document, field] of malformed) {
    it(`refuses ${what} and names ${field === '' ? 'the document' : field}`, async () => {
      assert.equal(await faultOf(document), field);
    });
  }

  it('refuses documents and cell lists over the limits', async () => {
    const text = JSON.stringify(notebookOf(code('1'), code('2')));
    const read = async (limits: object) => readNotebook(text, limits);
    await rejectsWith(read({ maxBytes: 20 }), Code.INVALID_ARGUMENT, 'NOTEBOOK_INVALID');
    await rejectsWith(read({ maxCells: 1 }), Code.INVALID_ARGUMENT, 'NOTEBOOK_INVALID');
  });

  it('upgrades 4.x to 4.5: every cell gets a unique id, lists of lines become text', () => {
    const document = notebookOf({ ...code(''), source: ['a\n', 'b'] }, markdown('# t'));
    const { notebook, warnings } = readNotebook(`\ufeff${JSON.stringify(document)}`);
    assert.equal(notebook.nbformat_minor, 5);
    assert.deepEqual(
      notebook.cells.map((cell) => cell.source),
      ['a\nb', '# t'],
    );
    assert.ok(notebook.cells.every((cell) => /^[0-9a-f]{8}$/.test(cell.id)));
    assert.notEqual(notebook.cells[0]?.id, notebook.cells[1]?.id);
    assert.deepEqual(warnings, []);
  });

  it('repairs duplicate ids and drops unknown keys, and says so', () => {
    const output = { output_type: 'display_data', data: {}, metadata: {}, transient: { display_id: 'x' } };
    const cells = [good, { ...good, outputs: [output], colour: 'red' }];
    const { notebook, warnings } = readNotebook(JSON.stringify({ ...notebookOf(), cells }));
    assert.equal(notebook.cells[0]?.id, 'a');
    assert.notEqual(notebook.cells[1]?.id, 'a');
    assert.equal(warnings.length, 3);
    assert.match(
      warnings.join(),
      /cells\[1\]: unknown key "colour".*outputs\[0\]: unknown key "transient".*duplicate id "a"/,
    );
  });

  it('makes tags that nbformat knows of others, and says so', () => {
    const { notebook, warnings } = readNotebook(
      JSON.stringify(notebookOf(code('1', 'a', 'a', 'b, c', ''), code('2', 'a'))),
    );
    assert.deepEqual(notebook.cells[0]?.metadata['tags'], ['a', 'b', 'c']);
    assert.deepEqual(warnings, ['cells[0].metadata.tags: repaired to a, b, c']);
  });

  it('gives back on reading what it wrote, JSON MIME types as objects', () => {
    const outputs = [
      { output_type: 'stream', name: 'stdout', text: ['a\n', 'b\n'] },
      {
        output_type: 'display_data',
        data: { 'application/json': ['x', 1], 'image/svg+xml': ['<svg>\n', '</svg>'] },
        metadata: {},
      },
      { output_type: 'execute_result', data: { 'text/plain': '\u2028é\ud800' }, metadata: {}, execution_count: 3 },
      { output_type: 'error', ename: 'E', evalue: 'v', traceback: ['l1'] },
    ];
    const cells = [
      { ...good, outputs },
      { ...good, id: 'm', cell_type: 'markdown', attachments: { 'a.png': { 'image/png': ['AA\n', 'AA'] } } },
    ];
    const { notebook } = readNotebook(JSON.stringify({ ...notebookOf(), cells }));
    const text = writeNotebook(notebook);
    assert.deepEqual(readNotebook(text).notebook, notebook);
    assert.ok(text.endsWith('}\n'));
    const written = JSON.parse(text).cells[0];
    assert.deepEqual(written.outputs[0].text, ['a\n', 'b\n']);
    assert.deepEqual(written.outputs[1].data, {
      'application/json': ['x', 1],
      'image/svg+xml': ['<svg>\n', '</svg>'],
    });
  });
});
