import assert from 'node:assert/strict';
import { createLineWriter } from '../../server/core/line-writer.ts';

function createBed(maxHeld?: number) {
  const written: string[] = [];
  const planned: (() => void)[] = [];
  const output = { write: (text: string) => written.push(text), writableLength: 0 };
  const later = (flush: () => void) => void planned.push(flush);
  const writer = createLineWriter({ output, later, ...(maxHeld === undefined ? {} : { maxHeld }) });
  const endTurn = () => {
    for (const flush of planned.splice(0)) flush();
  };
  return { written, output, writer, endTurn, planned };
}

describe('the writer of log lines', () => {
  it('writes the lines of one turn of the event loop at once, in order', () => {
    const { written, writer, endTurn, planned } = createBed();
    for (const line of ['a\n', 'b\n', 'c\n']) writer.write(line, false);
    assert.deepEqual([written, planned.length], [[], 1]);
    endTurn();
    writer.write('d\n', false);
    endTurn();
    assert.deepEqual(written, ['a\nb\nc\n', 'd\n']);
  });

  it('writes an urgent line without delay, after those that were held', () => {
    const { written, writer, endTurn } = createBed();
    writer.write('a\n', false);
    writer.write('error\n', true);
    assert.deepEqual(written, ['a\nerror\n']);
    endTurn();
    assert.equal(written.length, 1);
  });

  it('holds no more than a batch within one turn', () => {
    const { written, writer } = createBed();
    const line = `${'x'.repeat(1023)}\n`;
    for (let i = 0; i < 100; i++) writer.write(line, false);
    assert.equal(written.length, 1);
    assert.equal(written[0]?.length, 65_536);
  });

  it('drops and counts lines while the output is stuck, but no errors, and says so afterwards', () => {
    const { written, output, writer, endTurn } = createBed(10);
    output.writableLength = 11;
    for (let i = 0; i < 3; i++) writer.write('lost\n', false);
    writer.write('error\n', true);
    assert.equal(writer.dropped, 3);
    output.writableLength = 0;
    writer.write('next\n', false);
    endTurn();
    const lines = written.join('').trimEnd().split('\n');
    assert.equal(lines.includes('lost'), false);
    assert.match(lines.find((line) => line.startsWith('{')) ?? '', /"log lines dropped","lines":3/);
    assert.deepEqual([lines.includes('error'), lines.at(-1)], [true, 'next']);
  });
});
