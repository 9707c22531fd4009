import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderNotebookHtml } from '../../notebooks-runner/html/render-notebook-html.ts';
import { readNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { writeNotebook } from '../../notebooks-runner/nbformat/write-notebook.ts';
import { inferPython } from '../../notebooks-runner/parameters/inference/infer-python.ts';
import { inferTypescript } from '../../notebooks-runner/parameters/inference/infer-typescript.ts';
import { inspectParameters } from '../../notebooks-runner/parameters/inspect-parameters.ts';
import { readTestSettings } from '../../notebooks-runner/testing/test-settings.ts';
import { systemClock } from '../../server/core/clock.ts';
import { AppError } from '../../server/core/errors.ts';
import { createSeededRandom, type Random } from '../../server/core/random.ts';
import { code, createNotebookBed } from './notebook-bed.ts';

const notebooksDir = join(import.meta.dirname, '../../notebooks');
const strange = [null, true, -1, 1.5, 'x', '', [], {}, ['a', 1], { a: 1 }, 1e308, '__proto__', '\ud800', [[[]]]];

/** Changes one value at a random place of a document: another type, gone, doubled, or moved. */
function mutate(value: unknown, random: Random): unknown {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)] as T;
  if (typeof value !== 'object' || value === null || random.next() < 0.08) return pick(strange);
  if (Array.isArray(value)) {
    if (value.length === 0) return [pick(strange)];
    const at = Math.floor(random.next() * value.length);
    if (random.next() < 0.1) return value.toSpliced(at, 1);
    if (random.next() < 0.1) return [...value, value[at]];
    return value.with(at, mutate(value[at], random));
  }
  const key = pick(Object.keys(value));
  if (key === undefined) return { a: pick(strange) };
  const { [key]: item, ...rest } = value as Record<string, unknown>;
  if (random.next() < 0.1) return rest;
  if (random.next() < 0.1) return { ...rest, [String(pick(strange))]: item };
  return { ...rest, [key]: mutate(item, random) };
}

describe('malformed notebooks', () => {
  it('are read and written right or refused with the place of the fault, whatever is wrong with them', async () => {
    const random = createSeededRandom(99);
    const documents = await Promise.all(
      ['offline-metrics', 'ratings-quality'].map(async (name) =>
        JSON.parse(await readFile(join(notebooksDir, `${name}.ipynb`), 'utf8')),
      ),
    );
    let refused = 0;
    for (let round = 0; round < 3_000; round++) {
      let document: unknown = documents[round % documents.length];
      for (let times = 0; times <= round % 3; times++) document = mutate(document, random);
      try {
        const { notebook } = readNotebook(JSON.stringify(document));
        inspectParameters(notebook, 'typescript');
        readTestSettings(notebook);
        renderNotebookHtml(notebook);
        const again = readNotebook(writeNotebook(notebook)).notebook;
        assert.deepEqual(again, notebook);
      } catch (error) {
        assert.ok(error instanceof AppError, `round ${round}: ${String(error)}`);
        assert.equal(error.reason, 'NOTEBOOK_INVALID');
        // What is wrong with the whole is in no field of it.
        assert.equal(error.fields.length, error.metadata['field'] === '' ? 0 : 1);
        refused++;
      }
    }
    assert.ok(refused > 500 && refused < 2_900, `${refused} were refused`);
  });

  it('are refused when they are cut anywhere', async () => {
    const text = await readFile(join(notebooksDir, 'offline-metrics.ipynb'), 'utf8');
    for (let length = 0; length < text.length - 2; length += 97) {
      assert.throws(() => readNotebook(text.slice(0, length)), AppError);
    }
  });
});

describe('sources of any kind', () => {
  it('are scanned for declarations without an error and in no time', () => {
    const random = createSeededRandom(5);
    const pieces = [
      'const ',
      'a',
      ' = ',
      '1',
      '"',
      "'",
      '`',
      '${',
      '}',
      '(',
      ')',
      '[',
      ']',
      '{',
      '\n',
      '#',
      '//',
      '/*',
      '\\',
      ':',
      ',',
      'f"',
      '"""',
      'lambda',
      ' if ',
      '\u2028',
      'é',
      '😀',
      '=',
      '*',
    ];
    const startedMs = performance.now();
    for (let round = 0; round < 5_000; round++) {
      const source = Array.from({ length: 60 }, () => pieces[Math.floor(random.next() * pieces.length)]).join('');
      inferPython(source);
      inferTypescript(source);
    }
    for (const source of [
      '('.repeat(50_000),
      'a = '.repeat(20_000),
      '"'.repeat(50_001),
      'f"{'.repeat(5_000),
      'a:'.repeat(20_000),
      `a = ${'('.repeat(3_000)}1${')'.repeat(3_000)}`,
      `a: ${'Optional['.repeat(2_000)}int${']'.repeat(2_000)}`,
      '`${'.repeat(5_000),
    ]) {
      inferPython(source);
      inferTypescript(source);
    }
    assert.ok(performance.now() - startedMs < 10_000);
  });
});

describe('a wall clock that jumps', () => {
  for (const hours of [1, -1]) {
    it(`by ${hours} h in the middle of a run changes neither its limits nor its durations`, async () => {
      await using bed = await createNotebookBed();
      let shiftMs = 0;
      const clock = { ...systemClock, now: () => systemClock.now() + shiftMs };
      const record = await bed.run([code('1'), code('await new Promise((r) => setTimeout(r, 100))'), code('2')], {
        clock,
        cellTimeoutMs: 30_000,
        runTimeoutMs: 60_000,
        onEvent: (event) => {
          if (event.type === 'cell:started' && event.index === 1) shiftMs = hours * 3_600_000;
        },
      });
      assert.equal(record.status, 'succeeded');
      assert.ok(record.durationMs < 30_000 && record.endedAtMs - record.startedAtMs === record.durationMs);
      for (const { durationMs = -1 } of record.cells) assert.ok(durationMs >= 0 && durationMs < 30_000);
    });
  }
});
