import assert from 'node:assert/strict';
import { notebookPagePolicy, renderNotebookHtml } from '../../notebooks-runner/html/render-notebook-html.ts';
import { checkNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { code, createNotebookBed, markdown, notebookOf } from './notebook-bed.ts';

function pageOf(...cells: object[]): string {
  return renderNotebookHtml(checkNotebook(notebookOf(...cells)).notebook, { title: '<t>' });
}

function shown(data: object): object {
  return { ...code('x'), outputs: [{ output_type: 'display_data', data, metadata: {} }] };
}

const attacks = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '<a href="javascript:alert(1)">a</a>',
  '<a href=" jAvAsCrIpT:alert(1)">a</a>',
  '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
  '<svg onload=alert(1)><script>alert(1)</script></svg>',
  '<form action="https://evil.example"><input name=a></form>',
  '<style>@import "https://evil.example/x.css"</style>',
  '<div style="background:url(https://evil.example/x)">a</div>',
  '<img src="https://evil.example/track.png">',
  '<img src="data:text/html;base64,PHNjcmlwdD4=">',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
  '<base href="https://evil.example/"><meta http-equiv="refresh" content="0;url=https://evil.example">',
  '<object data="x"></object><embed src="x"><link rel=stylesheet href="https://evil.example">',
  '</pre></div><script>alert(1)</script>',
];

/** What must not be there: active tags, handlers, foreign addresses in attributes. */
const active =
  /<(?:script|iframe|object|embed|form|input|svg|math|base|link)\b|<[^>]*\son\w+\s*=|<[^>]*(?:href|src)\s*=\s*["']?\s*(?:javascript|https?:\/\/evil|data:text)|<style>@import|<div style/i;

describe('the page of a notebook', () => {
  for (const attack of attacks) {
    it(`shows ${attack.slice(0, 50)} without letting it act, wherever it stands`, () => {
      const page = pageOf(
        markdown(attack),
        code(attack),
        shown({ 'text/html': attack }),
        shown({ 'text/markdown': attack }),
        shown({ 'text/plain': attack }),
        shown({ 'application/json': { [attack]: attack } }),
        { ...code('x'), outputs: [{ output_type: 'stream', name: 'stdout', text: attack }] },
        { ...code('x'), outputs: [{ output_type: 'error', ename: attack, evalue: attack, traceback: [attack] }] },
        { cell_type: 'raw', metadata: {}, source: attack },
      );
      const body = page.slice(page.indexOf('<body>'));
      assert.doesNotMatch(body, active);
      assert.equal(page.match(/<meta http-equiv/g)?.length, 1);
    });
  }

  it('keeps text, tables, pictures and links', () => {
    const png = 'iVBORw0KGgo=';
    const page = pageOf(
      markdown('# Title\n\n| a | b |\n|---|---|\n| 1 | `x` |\n\n[link](https://example.org) ![p](attachment:p.png)'),
      { ...markdown('![q](attachment:q%20r.png)'), attachments: { 'q r.png': { 'image/png': png } } },
      shown({ 'text/html': '<table><tr><th colspan="2">h</th></tr></table>', 'text/plain': 'no' }),
      shown({ 'image/svg+xml': '<svg xmlns="http://www.w3.org/2000/svg"/>' }),
      shown({ 'image/png': png, 'text/plain': 'no' }),
      shown({ 'application/javascript': 'alert(1)' }),
      {
        ...code('x < y'),
        outputs: [{ output_type: 'stream', name: 'stdout', text: '\u001b[31mred\u001b[0m\n10%\r50%\rdone\n' }],
      },
    );
    for (const part of [
      '<h1>Title</h1>',
      '<td><code>x</code></td>',
      '<a href="https://example.org" rel="noopener noreferrer nofollow">link</a>',
      `src="data:image/png;base64,${png}"`,
      '<th colspan="2">h</th>',
      'src="data:image/svg+xml;base64,',
      '>x &lt; y</pre>',
      '>red\ndone\n</pre>',
      '<title>&lt;t&gt;</title>',
    ]) {
      assert.ok(page.includes(part), part);
    }
    assert.doesNotMatch(page, /alert|>no</);
    assert.ok(notebookPagePolicy.includes("default-src 'none'"));
  });

  it('says how the run and each cell ended, and folds what a report hides', async () => {
    await using bed = await createNotebookBed();
    const record = await bed.run([code('1'), code('throw new Error("<b>")'), code('2')], { isReport: true });
    const page = renderNotebookHtml(record.notebook);
    assert.match(page, /failed · \d{4}-.*<p class="failure"><a href="#papermill-error-cell">Error: &lt;b&gt;<\/a>/s);
    assert.equal(page.match(/id="papermill-error-cell"/g)?.length, 1);
    assert.equal(page.match(/<details><summary>source/g)?.length, 3);
    assert.match(page, /class="code not_run"/);
  });

  it('cuts an output that is too long for a page', () => {
    const page = pageOf({
      ...code('x'),
      outputs: [{ output_type: 'stream', name: 'stdout', text: 'y'.repeat(1_100_000) }],
    });
    assert.match(page, /y\n\[cut: 51424 more characters\]<\/pre>/);
  });
});
