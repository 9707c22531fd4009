import MarkdownIt from 'markdown-it';
import sanitizeHtml from 'sanitize-html';
import { escapeMarkup } from '../../server/core/escape-markup.ts';

/** Tags of text, tables and pictures; nothing that runs, loads or submits. */
const allowedTags = [
  ...'h1 h2 h3 h4 h5 h6 p div span br hr blockquote pre code kbd samp var em strong b i u s del ins sub sup small mark abbr'.split(
    ' ',
  ),
  ...'ul ol li dl dt dd table caption colgroup col thead tbody tfoot tr th td a img details summary figure figcaption'.split(
    ' ',
  ),
];

/** Tags open at once: to close one takes a look at all of them, so that more would take for ever. */
const maxOpenTags = 500;

class TooDeep extends Error {}

const markdown = new MarkdownIt({ html: true, linkify: false, typographer: false });

/**
 * HTML of a notebook without anything active: scripts, styles, forms, frames, event handlers and foreign pictures go.
 * `resolveImage` gives the data URI for a picture's `src` (attachments); pictures without one are removed. What nests
 * beyond reason is shown as text.
 */
export function safeHtml(html: string, resolveImage: (src: string) => string | undefined = () => undefined): string {
  try {
    return sanitize(html, resolveImage);
  } catch (error) {
    if (!(error instanceof TooDeep)) throw error;
    return `<pre class="plain">${escapeMarkup(html)}</pre>`;
  }
}

function sanitize(html: string, resolveImage: (src: string) => string | undefined): string {
  let open = 0;
  return sanitizeHtml(html, {
    onOpenTag: () => {
      if (++open > maxOpenTags) throw new TooDeep();
    },
    onCloseTag: () => {
      open--;
    },
    allowedTags,
    allowedAttributes: {
      a: ['href', 'title', 'rel'],
      img: ['src', 'alt', 'title', 'width', 'height'],
      th: ['colspan', 'rowspan', 'scope'],
      td: ['colspan', 'rowspan'],
      col: ['span'],
      ol: ['start'],
      details: ['open'],
    },
    allowedSchemes: ['http', 'https', 'mailto'],
    allowedSchemesByTag: { img: ['data'] },
    allowProtocolRelative: false,
    transformTags: {
      a: (tagName, attribs) => ({ tagName, attribs: { ...attribs, rel: 'noopener noreferrer nofollow' } }),
      img: (tagName, attribs) => ({
        tagName,
        attribs: { ...attribs, src: pictureOf(attribs['src'] ?? '', resolveImage) },
      }),
    },
    exclusiveFilter: (frame) => frame.tag === 'img' && (frame.attribs['src'] ?? '') === '',
    nestingLimit: 100,
  });
}

/** Only pictures that came with the document; SVG may hold scripts, but not where it is shown as a picture. */
function pictureOf(src: string, resolveImage: (src: string) => string | undefined): string {
  const found = resolveImage(src) ?? src;
  return /^data:image\/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]*$/.test(found) ? found : '';
}

/** Markdown as safe HTML, see `safeHtml`. */
export function safeMarkdown(text: string, resolveImage?: (src: string) => string | undefined): string {
  return safeHtml(markdown.render(text), resolveImage);
}
