import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Folder of the pages. */
export const docsDir = join(import.meta.dirname, '../../../docs');

/** Commands of a page with what they must print. */
export interface Example {
  /** Line of the page, from 1. */
  readonly line: number;
  readonly commands: string;
  /** Must end with a code other than 0. */
  readonly fails: boolean;
  readonly expected: readonly Expectation[];
}

/** `json`: documents that the output must hold; `text`: lines that it must hold. */
export interface Expectation {
  readonly form: 'json' | 'text';
  readonly body: string;
}

interface Fence {
  readonly line: number;
  readonly info: string;
  readonly body: string;
}

function fencesOf(page: string): Fence[] {
  const fences: Fence[] = [];
  let open: { line: number; info: string; body: string[] } | undefined;
  for (const [index, text] of page.split('\n').entries()) {
    if (!text.startsWith('```')) open?.body.push(text);
    else if (open === undefined) open = { line: index + 1, info: text.slice(3).trim(), body: [] };
    else {
      fences.push({ ...open, body: open.body.join('\n') });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`the fence of line ${open.line} is never closed`);
  return fences;
}

/** Text of a page, e.g. `cache.md`. */
export function readPage(name: string): string {
  return readFileSync(join(docsDir, name), 'utf8');
}

/**
 * The examples of a page: fences `sh run` (or `sh run fails`), each with the fences `json expect` and `text expect`
 * that follow it. Throws for an expectation without commands and for an info string that is none of these.
 */
export function examplesOf(page: string): Example[] {
  const examples: (Example & { expected: Expectation[] })[] = [];
  for (const { line, info, body } of fencesOf(page)) {
    const [language = '', role = '', extra = ''] = info.split(' ');
    if (role === '') continue;
    if (language === 'sh' && role === 'run' && (extra === '' || extra === 'fails')) {
      examples.push({ line, commands: body, fails: extra === 'fails', expected: [] });
    } else if ((language === 'json' || language === 'text') && role === 'expect') {
      const last = examples.at(-1);
      if (last === undefined) throw new Error(`line ${line}: nothing was run whose output could be expected`);
      last.expected.push({ form: language, body });
    } else throw new Error(`line ${line}: what is "${info}"?`);
  }
  return examples;
}
