import assert from 'node:assert/strict';
import { renderNotebookHtml } from '../../notebooks-runner/html/render-notebook-html.ts';
import { checkNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { code, markdown, notebookOf } from './notebook-bed.ts';

function pageOf(cells: readonly object[], maxLength?: number): string {
  const { notebook } = checkNotebook(notebookOf(...cells));
  return renderNotebookHtml(notebook, maxLength === undefined ? {} : { maxLength });
}

const stream = (text: string) => ({ ...code('x'), outputs: [{ output_type: 'stream', name: 'stdout', text }] });
const html = (text: string) => ({
  ...code('x'),
  outputs: [{ output_type: 'display_data', data: { 'text/html': text }, metadata: {} }],
});

/** Processor time, in ms: other work on the machine does not count. */
function costMs(act: () => void): number {
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

describe('the cost of a page', () => {
  // Each took minutes by a pattern or a list that looks at all before it once per character or tag.
  for (const [what, cell] of [
    ['carriage returns', stream('\r'.repeat(500_000))],
    ['line separators', stream('\u2028'.repeat(500_000))],
    ['links of a terminal that have no end', stream('\u001b]8;;'.repeat(100_000))],
    ['a sequence of a terminal that has no end', stream(`\u001b[${'1;'.repeat(250_000)}`)],
    ['tags that are never closed', html('<div></p>'.repeat(100_000))],
    ['tags in tags', markdown('<b><i>'.repeat(100_000))],
  ] as const) {
    it(`grows with the length only of ${what}`, () => {
      assert.ok(costMs(() => pageOf([cell])) < 5_000);
    });
  }

  it('ends with the cell after which the page is too long', () => {
    const cells = Array.from({ length: 50 }, () => markdown('x'.repeat(100_000)));
    const page = pageOf(cells, 300_000);
    assert.ok(page.length > 300_000 && page.length < 500_000, `${page.length}`);
    assert.ok(pageOf(cells).length > 5_000_000);
  });
});

describe('text of a terminal on a page', () => {
  for (const [what, text, shown] of [
    ['colours', '\u001b[1;31mred\u001b[0m', 'red'],
    ['links', '\u001b]8;;https://example.org\u001b\\link\u001b]8;;\u0007!', 'link!'],
    ['a bar that overwrites itself', ' 1%\r 50%\r100%\ndone\r\n', '100%\ndone\n'],
    ['a line end after a return', 'a\r\r\nb\r', 'a\nb'],
    ['a hidden cursor', '\u001b[?25lx\u001b[?25h', 'x'],
  ] as const) {
    it(`shows the end of ${what}`, () => {
      assert.ok(pageOf([stream(text)]).includes(`<pre class="stdout">${shown}</pre>`));
    });
  }

  it('shows what nests beyond reason as text', () => {
    const page = pageOf([html(`${'<div>'.repeat(600)}x<script>alert(1)</script>`)]);
    assert.match(page, /<pre class="plain">&lt;div&gt;/);
    assert.doesNotMatch(page, /<script/);
  });
});
