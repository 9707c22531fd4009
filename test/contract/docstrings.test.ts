import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** Every export of these says what it is for. */
const rooms = ['notebooks-runner/**/*.ts', 'plugins/**/*.ts', 'server/**/*.ts', 'workers/**/*.ts'];

const exported = /^export (?:default |async |abstract )*(?:function\*?|const|let|interface|type|class) ([\w$]+)/;

/** Names that a module exports without a docstring. The formatter puts both where this looks for them. */
function undocumented(source: string): string[] {
  const lines = source.split('\n');
  const names = new Map<string, boolean>();
  for (const [index, line] of lines.entries()) {
    const name = exported.exec(line)?.[1];
    // The first signature of an overloaded function speaks for all.
    if (name === undefined || names.has(name)) continue;
    let above = index - 1;
    while (lines[above]?.startsWith('// biome-ignore')) above--;
    const end = above;
    while (above >= 0 && /^ \*/.test(lines[above] ?? '')) above--;
    names.set(name, lines[end]?.endsWith('*/') === true && lines[above]?.startsWith('/**') === true);
  }
  return [...names].filter(([, isDocumented]) => !isDocumented).map(([name]) => name);
}

describe('docstrings', () => {
  for (const room of rooms) {
    it(`are on every export of ${room}`, () => {
      const files = globSync(room, { cwd: root });
      assert.notEqual(files.length, 0, 'no file is there: the list of rooms is stale');
      const missing = files.flatMap((file) =>
        undocumented(readFileSync(join(root, file), 'utf8')).map((name) => `${file}: ${name}`),
      );
      assert.deepEqual(missing, []);
    });
  }

  it('are missed where there is none, or one that is no docstring', () => {
    const source = [
      ...['/** One line. */', 'export const one = 1;', ''],
      ...[
        '/**',
        ' * Two lines,',
        ' * and a word to the linter.',
        ' */',
        '// biome-ignore lint: why',
        'export type Two = 2;',
      ],
      ...['export function three(): 3;', 'export function three(): number {}', ''],
      ...['// For nobody.', 'export interface Four {}', ''],
      ...['/* For nobody. */', 'export class Five {}', ''],
      ...['/** Of no export. */', '', 'export async function* six() {}', ''],
      ...['/** Overloaded. */', 'export function seven(): 7;', 'export function seven(): number {}', ''],
      ...["export { eight } from './eight.ts';", "export type { Nine } from './nine.ts';", 'const ten = 10;'],
    ].join('\n');
    assert.deepEqual(undocumented(source), ['three', 'Four', 'Five', 'six']);
  });
});
