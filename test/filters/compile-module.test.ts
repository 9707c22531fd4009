import assert from 'node:assert/strict';
import {
  type CompiledModule,
  compileModule,
  compilerReady,
  type ModuleNamespace,
} from '../../plugins/engine/load/compile-module.ts';

const meta = { url: 'file:///filters/a.ts' } as ImportMeta;
const importDynamically = async (specifier: unknown) => ({ asked: specifier });

function run(module: CompiledModule, ...imports: ModuleNamespace[]): Promise<ModuleNamespace> {
  return module.evaluate({ imports, meta, importDynamically });
}

describe('a module compiled to a function', () => {
  before(() => compilerReady());

  const forms: [source: string, exported: Record<string, unknown>][] = [
    ['export const a = 1, b = 2;', { a: 1, b: 2 }],
    ['const a = 1; export { a as "odd name", a as default };', { 'odd name': 1, default: 1 }],
    ['export default 1 + 2;', { default: 3 }],
    ['export default class Named { static x = 4 } export const x = Named.x;', { x: 4 }],
    ['export const early = late(); export function late() { return 5; }', { early: 5 }],
    ['export const text = "export const no = 1; import x from \'y\'"; // export const no = 2', { text: '' }],
    ['export const same = `import.meta` + /export {a}/.source;', { same: 'import.metaexport {a}' }],
    ['const later = await Promise.resolve(6); export { later };', { later: 6 }],
    ['export const url = import.meta.url;', { url: meta.url }],
    ["export const dynamic = (await import('./x.ts')).asked;", { dynamic: './x.ts' }],
    ['export const self = this, strict = (function () { return this; })();', { self: undefined, strict: undefined }],
  ];
  for (const [source, expected] of forms) {
    it(`gives what it exports: ${source}`, async () => {
      const exported = await run(compileModule(source, 'a'));
      for (const [name, value] of Object.entries(expected)) {
        if (name !== 'text') assert.equal(exported[name], value);
      }
      if ('text' in expected) assert.deepEqual(Object.keys(exported), ['text']);
    });
  }

  it('takes what it imports, in every form, in order', async () => {
    const source = `import d, { a as b, "odd name" as odd } from './one.ts' with { type: 'json' };
import * as ns from 'two'; import 'three'; import /* from 'no' */ only from 'four';
export { c as renamed, default } from 'five'; export * from 'six'; export * as seven from 'seven';
export const all = [d, b, odd, ns.x, only]; export { b };`;
    const module = compileModule(source, 'a');
    assert.deepEqual(module.requests, [
      { specifier: './one.ts', attributes: { type: 'json' } },
      ...['two', 'three', 'four', 'five', 'six', 'seven'].map((specifier) => ({ specifier, attributes: {} })),
    ]);
    const one = { default: 1, a: 2, 'odd name': 3 };
    const exported = await run(
      module,
      ...[one, { x: 4 }, {}, { default: 5 }, { c: 6, default: 7 }, { s: 8, default: 9 }, { z: 0 }],
    );
    assert.deepEqual(exported['all'], [1, 2, 3, 4, 5]);
    assert.deepEqual({ ...exported, all: 0 }, { renamed: 6, default: 7, seven: { z: 0 }, all: 0, b: 2, s: 8 });
    assert.ok(Object.isFrozen(exported));
  });

  it('refuses an import that is not provided, as Node does', async () => {
    const module = compileModule("import { gone } from './a.ts'", 'a');
    await assert.rejects(run(module, { here: 1 }), /'\.\/a\.ts' does not provide an export named 'gone'/);
    const passedOn = compileModule("export { gone } from './a.ts'", 'a');
    await assert.rejects(run(passedOn, {}), SyntaxError);
  });

  it('refuses what it would not follow', () => {
    assert.throws(() => compileModule('export let changing = 1;', 'a'), /export a const or a function/);
    assert.throws(() => compileModule("import defer * as x from 'x';", 'a'), /no import defer here/);
    for (const broken of ['export const = ;', 'import {', 'run: {{{', 'const a = 1; const a = 2;', 'export {}']) {
      assert.throws(() => compileModule(broken, 'a'), Error, broken);
    }
  });

  it('keeps the lines of the author in stack traces', async () => {
    const source =
      "import {\n  a,\n} from 'x';\nexport {\n  a,\n};\n\nexport const fail = () => {\n  throw new Error('here');\n};";
    const { fail } = await run(compileModule(source, 'file:///filters/a.ts?filter=1'), { a: 1 });
    assert.throws(fail as () => void, (error: Error) =>
      /file:\/\/\/filters\/a\.ts\?filter=1:9:9/.test(error.stack ?? ''),
    );
  });
});
