import assert from 'node:assert/strict';
import { createProgressBar } from '../../server/cli/terminal/progress-bar.ts';
import { formatTable } from '../../server/cli/terminal/table.ts';

describe('the terminal', () => {
  it('aligns a table and rules off its heading', () => {
    const text = formatTable(
      [
        ['what', 'ms'],
        ['encode', '1,204'],
        ['push', '3'],
      ],
      [1],
    );
    assert.equal(text, ['what       ms', '─────────────', 'encode  1,204', 'push        3'].join('\n'));
  });

  it('writes one plain line a stage where there is no terminal', () => {
    const written: string[] = [];
    const bar = createProgressBar({ isTTY: false, write: (text) => written.push(text) }, 'transcode');
    bar.update(0.1, 'encode', '12 frames');
    bar.update(0.2, 'encode', '24 frames');
    bar.update(0.9, 'package', '');
    bar.end();
    assert.deepEqual(written, ['  transcode: encode 12 frames\n', '  transcode: package\n']);
  });

  it('redraws one line on a terminal and wipes what was longer', () => {
    const written: string[] = [];
    const bar = createProgressBar({ isTTY: true, write: (text) => written.push(text) }, 'x');
    bar.update(0.5, 'encode', 'a long note');
    bar.update(1, 'done', '');
    bar.end();
    assert.ok(written.every((text) => !text.slice(0, -1).includes('\n')));
    assert.equal(written[0]?.length, written[1]?.length);
    assert.match(written[1] ?? '', /100 %/);
  });

  it('never wraps its line, which could not be drawn over', () => {
    const note = '5 of 20 parts done, 123 s of encoding left';
    const widths = [undefined, 60, 20].map((columns) => {
      const written: string[] = [];
      const bar = createProgressBar({ isTTY: true, columns, write: (text) => written.push(text) }, 'title');
      bar.update(0.5, 'encode', note);
      bar.update(1, 'done', '');
      return written.map((text) => text.length - 1);
    });
    assert.deepEqual(widths, [
      [79, 79],
      [59, 59],
      [19, 19],
    ]);
  });
});
