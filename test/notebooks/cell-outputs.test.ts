import assert from 'node:assert/strict';
import type { Output } from '../../notebooks-runner/nbformat/notebook.ts';
import { createRunOutputs } from '../../notebooks-runner/outputs/run-outputs.ts';

function collect(limits: { maxCellBytes?: number; maxRunBytes?: number } = {}) {
  const run = createRunOutputs({ maxCellBytes: 1_000, maxRunBytes: 10_000, ...limits });
  const outputs: Output[] = [];
  return { run, outputs, cell: run.forCell(outputs) };
}

const texts = (outputs: readonly Output[]) =>
  outputs.map((output) => (output.output_type === 'stream' ? `${output.name}:${output.text}` : output.output_type));

describe('collecting the outputs of a cell', () => {
  it('merges neighbours of one stream only', () => {
    const { outputs, cell } = collect();
    cell.stream('stdout', 'a');
    cell.stream('stdout', 'b');
    cell.stream('stderr', 'c');
    cell.display({ 'text/plain': 'd' }, {}, undefined);
    cell.stream('stderr', 'e');
    assert.deepEqual(texts(outputs), ['stdout:ab', 'stderr:c', 'display_data', 'stderr:e']);
  });

  it('drops everything but errors after the first overflow, cuts between characters and counts', () => {
    const { outputs, cell } = collect({ maxCellBytes: 64 + 6 });
    cell.stream('stdout', 'ab😀é');
    cell.stream('stdout', 'x');
    cell.display({ 'text/plain': 'd' }, {}, undefined);
    cell.error('E', 'v', ['l']);
    assert.equal(texts(outputs)[0], 'stdout:ab😀');
    assert.match(texts(outputs)[1] ?? '', /^stderr:\n\[output truncated: \d+ bytes in 3 messages dropped/);
    assert.deepEqual(texts(outputs).slice(2), ['error']);
    assert.equal(cell.counts().droppedOutputs, 3);
  });

  it('shares one budget among the cells of a run and gives it back on clear', () => {
    const { run, outputs, cell } = collect({ maxRunBytes: 64 + 10 });
    cell.stream('stdout', '0123456789');
    const second: Output[] = [];
    const other = run.forCell(second);
    other.stream('stdout', 'lost');
    assert.match(texts(second)[0] ?? '', /truncated/);
    cell.clear(false);
    other.clear(true);
    other.stream('stdout', 'kept');
    assert.deepEqual([texts(outputs), texts(second)], [[], ['stdout:kept']]);
  });

  it('updates every display under an id, in earlier cells too, but not one that was cleared', () => {
    const { run, outputs, cell } = collect();
    cell.display({ 'text/plain': '1' }, {}, 'id');
    const second: Output[] = [];
    const other = run.forCell(second);
    other.display({ 'text/plain': '2' }, {}, 'id');
    const first = outputs[0];
    assert.deepEqual(first, { output_type: 'display_data', data: { 'text/plain': '2' }, metadata: {} });
    cell.clear(false);
    run.updateDisplay('id', { 'text/plain': '3' }, { a: 1 });
    assert.deepEqual(second[0], { output_type: 'display_data', data: { 'text/plain': '3' }, metadata: { a: 1 } });
    assert.deepEqual(
      [outputs, first],
      [[], { output_type: 'display_data', data: { 'text/plain': '2' }, metadata: {} }],
    );
  });

  it('keeps an update within the limits', () => {
    const { run, outputs, cell } = collect({ maxCellBytes: 200 });
    cell.display({ 'text/plain': 'small' }, {}, 'id');
    run.updateDisplay('id', { 'text/plain': 'x'.repeat(500) }, {});
    assert.deepEqual(outputs[0], { output_type: 'display_data', data: { 'text/plain': 'small' }, metadata: {} });
    assert.equal(cell.counts().droppedOutputs, 1);
  });

  it('makes valid nbformat of whatever a kernel sends', () => {
    const { outputs, cell } = collect();
    let deep: unknown = 1;
    for (let i = 0; i < 2_000; i++) deep = [deep];
    cell.display(
      { 'text/plain': 5, 'text/html': ['<b>', '</b>'], 'application/json': { a: [1] }, 'x/deep+json': deep },
      7,
      undefined,
    );
    cell.result(null, null, 3, undefined);
    assert.deepEqual(outputs, [
      {
        output_type: 'display_data',
        data: {
          'text/plain': '5',
          'text/html': '<b></b>',
          'application/json': { a: [1] },
          'x/deep+json': '[value nested too deeply to be kept]',
        },
        metadata: {},
      },
      { output_type: 'execute_result', execution_count: 3, data: {}, metadata: {} },
    ]);
  });

  it('cuts endless error texts', () => {
    const { outputs, cell } = collect();
    cell.error(
      'E'.repeat(5_000),
      'v'.repeat(200_000),
      Array.from({ length: 10_000 }, () => 'line'.repeat(100)),
    );
    assert.ok(JSON.stringify(outputs).length < 400_000);
    assert.match(JSON.stringify(outputs), /cut: 134464 more characters.*cut: \d+ more lines/);
  });
});
