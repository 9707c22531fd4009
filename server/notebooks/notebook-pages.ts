import { notebookPagePolicy, renderNotebookHtml } from '../../notebooks-runner/html/render-notebook-html.ts';
import { livePrefix } from '../../notebooks-runner/live/live-events.ts';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { Code } from '../core/codes.ts';
import { AppError } from '../core/errors.ts';
import { escapeMarkup } from '../core/escape-markup.ts';
import type { ObjectStore } from '../stores/objects/object-store.ts';
import { outputPrefix } from './notebook-source.ts';

/** A page and what a browser is told with it. */
export interface NotebookPage {
  readonly html: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** Output notebooks as pages for a browser, from whatever the objects are stored in. */
export interface NotebookPages {
  /** Path below which all pages are. */
  readonly prefix: string;
  /** The page of an output notebook by its path, or of their list for the empty path; undefined when there is none. */
  render(path: string, query: URLSearchParams, signal: AbortSignal): Promise<NotebookPage | undefined>;
}

/** Making a page of more would hold everything else up for too long. */
const maxBytes = 16 * 1_048_576;
/** Objects looked at for one list: those between that are no notebooks count too. */
const maxLooked = 5_000;
const headers = {
  'content-security-policy': notebookPagePolicy,
  'referrer-policy': 'no-referrer',
  'cache-control': 'private, no-cache',
};

/**
 * Read-only pages of the notebooks below `notebooks/`: sanitised, without scripts, nothing loaded from elsewhere. A list
 * looks at `perList` objects at a time and shows about as many (default 500).
 */
export function createNotebookPages(objects: ObjectStore, perList = 500): NotebookPages {
  async function renderOne(key: string, signal: AbortSignal): Promise<NotebookPage | undefined> {
    const info = await objects.stat(key);
    if (info === undefined) return undefined;
    const etag = `"page-${info.sha256}"`;
    const page = (text: string) => ({ html: Buffer.from(text), headers: { ...headers, etag } });
    if (info.bytes > maxBytes) return page(messagePage(key, `It has ${info.bytes} bytes, too many for a page.`));
    try {
      const { notebook } = readNotebook(await objects.read(key, { maxBytes, signal }), { maxBytes });
      return page(renderNotebookHtml(notebook, { title: key }));
    } catch (error) {
      if (error instanceof AppError && error.reason === 'NOTEBOOK_INVALID')
        return page(messagePage(key, error.message));
      throw error;
    }
  }

  async function renderList(after: string): Promise<NotebookPage> {
    const items: string[] = [];
    let last = after;
    let isMore = true;
    for (let looked = 0; isMore && items.length < perList && looked < maxLooked; ) {
      const found = await objects.list(outputPrefix, { limit: perList, ...(last === '' ? {} : { after: last }) });
      looked += found.length;
      isMore = found.length === perList;
      for (const { key, bytes, modifiedMs } of found) {
        last = key;
        if (key.endsWith('.ipynb')) items.push(listItem(key, bytes, modifiedMs));
      }
      // Segments of live output may be many: the list goes on behind them.
      if (isMore && last.startsWith(livePrefix)) last = `${livePrefix.slice(0, -1)}0`;
    }
    const next = isMore ? `<p><a href="?after=${encodeURIComponent(last)}">more</a></p>` : '';
    const list = items.length === 0 ? '<p>None.</p>' : `<ul>${items.join('\n')}</ul>`;
    return { html: Buffer.from(shell('Notebooks', `${list}${next}`)), headers };
  }

  return {
    prefix: outputPrefix,
    render: async (path, query, signal) => {
      try {
        if (path === '') return await renderList(query.get('after') ?? '');
        return path.endsWith('.ipynb') ? await renderOne(`${outputPrefix}${path}`, signal) : undefined;
      } catch (error) {
        // A path that is no key (e.g. traversal), or an object that went meanwhile.
        const isAbsent =
          error instanceof AppError && (error.code === Code.INVALID_ARGUMENT || error.code === Code.NOT_FOUND);
        if (isAbsent) return undefined;
        throw error;
      }
    },
  };
}

function listItem(key: string, bytes: number, modifiedMs: number): string {
  const path = key.slice(outputPrefix.length);
  const href = path.split('/').map(encodeURIComponent).join('/');
  const facts = `${new Date(modifiedMs).toISOString().slice(0, 19)}Z, ${Math.ceil(bytes / 1024)} KiB`;
  return `<li><a href="/${outputPrefix}${href}">${escapeMarkup(path)}</a> ${facts}</li>`;
}

function messagePage(key: string, text: string): string {
  return shell(key, `<p>${escapeMarkup(text)}</p>`);
}

function shell(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeMarkup(title)}</title></head><body><h1>${escapeMarkup(title)}</h1>
${body}
</body></html>
`;
}
