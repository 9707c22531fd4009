import assert from 'node:assert/strict';
import type { Notebook } from '../../notebooks-runner/nbformat/notebook.ts';
import { checkNotebook } from '../../notebooks-runner/nbformat/read-notebook.ts';
import { inferTypescript } from '../../notebooks-runner/parameters/inference/infer-typescript.ts';
import { injectParameters } from '../../notebooks-runner/parameters/inject-parameters.ts';
import type { Parameters } from '../../notebooks-runner/parameters/parameter-value.ts';
import { Code } from '../../server/core/codes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { code, markdown, notebookOf } from './notebook-bed.ts';

function parsed(...cells: object[]): Notebook {
  return checkNotebook(notebookOf(...cells)).notebook;
}

function sourcesAfter(parameters: Parameters, ...cells: object[]): string[] {
  return injectParameters(parsed(...cells), parameters, 'typescript').notebook.cells.map((cell) => cell.source);
}

async function faultsOf(parameters: Record<string, unknown>, defaults: string, language = 'typescript') {
  const notebook = parsed(code(defaults, 'parameters'));
  const inject = async () => injectParameters(notebook, parameters as Parameters, language);
  const error = await rejectsWith(inject(), Code.INVALID_ARGUMENT, 'NOTEBOOK_PARAMETERS_INVALID');
  return error.fields.map(({ field, description }) => `${field}: ${description}`);
}

function inferred(source: string): Record<string, string> {
  const declarations = inferTypescript(source)?.declarations ?? [];
  return Object.fromEntries(
    [...declarations].map(([name, { type, keyword }]) => [
      name,
      `${keyword} ${[...(type.kinds ?? ['any'])].join('|')}`,
    ]),
  );
}

describe('injecting parameters', () => {
  const injected = '// Parameters\nconst a = 2;';

  it('puts the cell right after the first cell tagged parameters', () => {
    const sources = sourcesAfter(
      { a: 2 },
      markdown('t'),
      code('const a = 1', 'parameters'),
      code('x'),
      code('y', 'parameters'),
    );
    assert.deepEqual(sources, ['t', 'const a = 1', injected, 'x', 'y']);
  });

  it('replaces an earlier injected cell where it stands', () => {
    const notebook = parsed(
      code('const a = 1', 'parameters'),
      code('x'),
      code('old', 'injected-parameters'),
      code('y'),
    );
    const injection = injectParameters(notebook, { a: 2 }, 'typescript');
    assert.deepEqual(
      injection.notebook.cells.map((cell) => cell.source),
      ['const a = 1', 'x', injected, 'y'],
    );
    assert.deepEqual([injection.index, injection.replaced], [2, true]);
    assert.equal(injection.notebook.cells[2]?.id, notebook.cells[2]?.id);
  });

  it('puts the cell at the top, with a warning, when no cell is tagged', () => {
    const injection = injectParameters(parsed(markdown('t'), code('x')), { a: 2 }, 'typescript');
    assert.deepEqual(
      injection.notebook.cells.map((cell) => cell.source),
      [injected, 't', 'x'],
    );
    assert.equal(injection.warnings.length, 1);
  });

  it('puts the cell behind a heading that is tagged, when no code is', () => {
    const heading = { ...markdown('# settings'), metadata: { tags: ['parameters'] } };
    const notebook = parsed(code('x'), heading, code('const a = 1'), code('y'));
    const injection = injectParameters(notebook, { a: 2 }, 'typescript');
    assert.deepEqual([injection.index, injection.warnings], [2, []]);
    assert.deepEqual(sourcesAfter({ a: 2 }, heading, code('const a = 1', 'parameters')), [
      '# settings',
      'const a = 1',
      injected,
    ]);
  });

  it('injects nothing when there are no parameters and leaves an earlier injected cell', () => {
    assert.deepEqual(sourcesAfter({}, code('const a = 1', 'parameters'), code('old', 'injected-parameters')), [
      'const a = 1',
      'old',
    ]);
  });

  it('declares an override with the keyword of its default, since the kernel refuses another', () => {
    const sources = sourcesAfter({ a: 2, b: 3, c: 4 }, code('let a = 1; var b = 1; const c = 1', 'parameters'));
    assert.equal(sources[1], '// Parameters\nlet a = 2;\nvar b = 3;\nconst c = 4;');
  });

  it('leaves the given notebook as it was', () => {
    const notebook = parsed(code('const a = 1', 'parameters'));
    const before = structuredClone(notebook);
    injectParameters(notebook, { a: 2 }, 'typescript');
    assert.deepEqual(notebook, before);
  });

  it('refuses a language without a translator', async () => {
    const inject = async () => injectParameters(parsed(code('x')), { a: 1 }, 'cobol');
    await rejectsWith(inject(), Code.INVALID_ARGUMENT, 'NOTEBOOK_LANGUAGE_UNSUPPORTED');
  });
});

describe('checking parameters', () => {
  it('refuses a name that the notebook does not declare, and names those it does', async () => {
    const faults = await faultsOf({ minRating: 1 }, 'const minRatings = 50, file = "x"');
    assert.deepEqual(faults, [
      'parameters.minRating: the notebook declares no such parameter; it declares minRatings, file',
    ]);
  });

  it('names every value that does not have the type of its default', async () => {
    const defaults = 'const s = "", n = -1.5, t = true, b = 1n, l = [1], o = { a: 1 }, c: "x" | "y" = "x";';
    const faults = await faultsOf({ s: 1, n: '1', t: 0, b: 1.5, l: {}, o: [], c: 'z' }, defaults);
    assert.deepEqual(faults, [
      'parameters.s: must be string, as its default, but is number',
      'parameters.n: must be number, as its default, but is string',
      'parameters.t: must be boolean, as its default, but is number',
      'parameters.b: must be bigint, as its default, but is number',
      'parameters.l: must be list, as its default, but is object',
      'parameters.o: must be object, as its default, but is list',
      'parameters.c: must be one of "x", "y"',
    ]);
  });

  it('takes null only where the annotation allows it, anything where the type is not known', () => {
    const defaults = code('let a: string | null = "x"; let b = null; let c = compute();', 'parameters');
    assert.equal(
      sourcesAfter({ a: null, b: 5, c: [1] }, defaults)[1],
      '// Parameters\nlet a = null;\nlet b = 5;\nlet c = [1];',
    );
  });

  it('takes 64-bit integers as decimal text or exact numbers for a bigint parameter', () => {
    const defaults = code('const a = 0n, b = 0n, c = 0;', 'parameters');
    const sources = sourcesAfter({ a: '9223372036854775807', b: -7, c: 5n }, defaults);
    assert.equal(sources[1], '// Parameters\nconst a = 9223372036854775807n;\nconst b = -7n;\nconst c = 5;');
  });

  it('accepts unknown names when the defaults cell declares by destructuring or cannot be read', () => {
    assert.equal(sourcesAfter({ z: 1 }, code('const { a } = load(); const b = 1', 'parameters')).length, 2);
    assert.equal(sourcesAfter({ z: 1 }, code('const a = "open', 'parameters')).length, 2);
  });

  for (const name of [
    'x=1;import os',
    '',
    'a b',
    '1a',
    'a-b',
    'class',
    'await',
    'a\n',
    'eval',
    'NaN',
    'a.b',
    'x'.repeat(129),
  ]) {
    it(`refuses ${JSON.stringify(name.slice(0, 20))} as a name`, async () => {
      assert.equal((await faultsOf({ [name]: 1 }, 'const a = compute()')).length, 1);
    });
  }

  it('refuses Python keywords as names in Python only', async () => {
    assert.equal((await faultsOf({ lambda: 1, None: 1, 'x;y': 1 }, '', 'python')).length, 3);
    assert.equal(sourcesAfter({ lambda: 1 }, code('x')).length, 2);
  });

  it('refuses values that no notebook can receive', async () => {
    let deep: unknown = 1;
    for (let i = 0; i < 60; i++) deep = [deep];
    const values = { a: undefined, b: () => 1, c: new Set(), d: [1, { e: Symbol('x') }], f: deep, g: new Map() };
    const faults = await faultsOf(values, 'const { a } = x');
    assert.deepEqual(
      faults.map((fault) => fault.split(':')[0]?.slice(0, 20)),
      ['parameters.a', 'parameters.b', 'parameters.c', 'parameters.d[1].e', 'parameters.f[0][0][0', 'parameters.g'],
    );
  });
});

describe('inferring parameters of a TypeScript cell', () => {
  it('knows the types of literals, of annotations and of sums of literals', () => {
    const source = `
      // const hidden = 1
      const text = 'it\\'s', template = \`a
      const inside = 2\`, number = 0x1F, minus = -1e3, seconds = 24 * 60, big = 12n;
      let flag = true, list = [1, [2]], object = { const: 1, let: 2 }
      var nothing = null
      export const joined = "a" + "b"
      let union: "x" | "y" = "x", generic: Map<string, number> = new Map<string, number>(), last: number[] = []
      const castList = [] as string[], constant = "a" as const
    `;
    assert.deepEqual(inferred(source), {
      text: 'const string',
      template: 'const string',
      number: 'const number',
      minus: 'const number',
      seconds: 'const number',
      big: 'const bigint',
      flag: 'let boolean',
      list: 'let list',
      object: 'let object',
      nothing: 'var any',
      joined: 'const string',
      union: 'let string',
      generic: 'let any',
      last: 'let list',
      castList: 'const list',
      constant: 'const string',
    });
  });

  it('takes for a list only what is one, not what ends like one', () => {
    const source = `
      let property: Config["mode"] = "a", maybe: Config["mode"] | null = null
      let choice: A extends B ? string : number[] = 1, call: () => string[] = f
      let plain: string[] = [], matrix: number[][] = [], fixed: [number, string] = [1, "a"], either: string[] | null
      let kept: readonly string[] = [], generic: ReadonlyArray<Array<string>> = []`;
    assert.deepEqual(inferred(source), {
      property: 'let any',
      maybe: 'let any',
      choice: 'let any',
      call: 'let any',
      plain: 'let list',
      matrix: 'let list',
      fixed: 'let list',
      either: 'let list|null',
      kept: 'let list',
      generic: 'let list',
    });
  });

  it('sees declarations at the top level only', () => {
    const source = `function f() { const inner = 1 }
      const g = (a: number) => { let inside = 2; return a / inside / 2 }
      for (let i = 0; i < 3; i++) {}
      if (x) { var y = 1 }
      const r = /[/"]const z = 1/.test(s) ? 1 : 2
      class C { let = 1 }`;
    assert.deepEqual(Object.keys(inferred(source)), ['g', 'r']);
  });

  it('ends a value at the line end unless the statement goes on', () => {
    const source = 'const a = 1\nconst b = base\n  .next()\nlet c = 2 +\n  3\nconst d = "x"';
    assert.deepEqual(inferred(source), { a: 'const number', b: 'const any', c: 'let number', d: 'const string' });
  });

  for (const source of ['const a = "x', 'const a = `x', '/* const a = 1', `const a = \`\${\`\${"}`, '# python', '']) {
    it(`gives nothing for ${JSON.stringify(source)}`, () => {
      assert.equal(inferTypescript(source), undefined);
    });
  }
});
