import assert from 'node:assert/strict';
import { escapeMarkup } from '../../server/core/escape-markup.ts';

describe('text in markup', () => {
  it('opens and closes nothing, neither an element nor an attribute', () => {
    assert.equal(escapeMarkup(`<a href='x'>"&amp;"</a>`), '&lt;a href=&#39;x&#39;&gt;&quot;&amp;amp;&quot;&lt;/a&gt;');
  });

  it('holds only characters that XML can: others become U+FFFD', () => {
    assert.equal(escapeMarkup('a\u0000\u001b\ud800b\ufffe\uffff'), 'a\ufffd\ufffd\ufffdb\ufffd\ufffd');
    const fine = 'tab\tline\nreturn\r é 日本 😀 \ud7ff\ue000\ufffd';
    assert.equal(escapeMarkup(fine), fine);
  });
});
