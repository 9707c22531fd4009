import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { FilterEngine } from '../../plugins/engine/engine.ts';
import { createFakeCall } from './bed/fake-call.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { runCall } from './bed/run-call.ts';

async function answerOf(engine: FilterEngine): Promise<unknown> {
  return (await runCall(engine, createFakeCall())).responses[0];
}

describe('modules of a filter', () => {
  it('may import node, packages, own files, own JSON and the contract', async () => {
    await using folders = await createFilterFolders();
    await folders.filter(
      'a',
      'run: async () => ({ messages: [[word, sep, typeof trace, (await import("./late.ts")).late, contract.Code.OK]] }),',
      `import { sep } from 'node:path'; import { trace } from 'dep'; import * as contract from 'showrunner/filter';
import words from './words.json' with { type: 'json' }; import { pick } from './lib/pick.js'; const word = pick(words);`,
    );
    await folders.file('a/words.json', '["first"]');
    await folders.file('a/lib/pick.js', 'export const pick = (list) => list[0];');
    await folders.file('a/late.ts', 'export const late: string = import.meta.filename.slice(-7);');
    await folders.file('a/node_modules/dep/package.json', '{"name":"dep","type":"module","exports":"./index.js"}');
    await folders.file('a/node_modules/dep/index.js', 'export const trace = () => {};');
    const engine = await folders.engine();
    assert.deepEqual(await answerOf(engine), ['first', '/', 'function', 'late.ts', 0]);
  });

  it('are evaluated once and dependencies first, also when two files share one', async () => {
    await using folders = await createFilterFolders();
    Object.assign(globalThis, { order: [] });
    await folders.filter(
      'a',
      'run: () => ({ messages: [globalThis.order.join()] }),',
      "import './x.ts'; import './y.ts';",
    );
    await folders.file('a/x.ts', "import './z.ts'; globalThis.order.push('x');");
    await folders.file('a/y.ts', "import './z.ts'; globalThis.order.push('y');");
    await folders.file('a/z.ts', "globalThis.order.push('z');");
    const engine = await folders.engine();
    assert.equal(await answerOf(engine), 'z,x,y');
  });

  it('say what is wrong with them', async () => {
    const faults: [string, string, RegExp][] = [
      ["import './b.ts';", "import './filter.ts';", /import cycle: filter\.ts → b\.ts → filter\.ts/],
      [
        "import { gone } from './b.ts';",
        'export const here = 1;',
        /'\.\/b\.ts' does not provide an export named 'gone'/,
      ],
      ["import './gone.ts';", '', /gone\.ts/],
      ["import 'no-such-package';", '', /no-such-package/],
      ["import './b.ts';", 'enum E { A }', /enum/],
    ];
    for (const [head, other, message] of faults) {
      await using folders = await createFilterFolders();
      await folders.filter('a', 'run: () => {},', head);
      await folders.file('a/b.ts', other);
      await assert.rejects(folders.engine(), message);
    }
  });

  it('are collected after a reload: 1,000 reloads leave no version behind and the heap flat', async () => {
    const script = join(import.meta.dirname, '../../bench/filters/reload-soak.ts');
    const flags = ['--expose-gc', '--disable-warning=ExperimentalWarning'];
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, script, '1000'], { timeout: 50_000 });
    const soak = JSON.parse(stdout) as { live: number; failed: number; calls: number; grownBytes: number };
    assert.equal(soak.failed, 0);
    assert.ok(soak.calls >= 1000, `${soak.calls} calls`);
    // The serving version and the one before it, which a caller's stack may still hold.
    assert.ok(soak.live <= 2, `${soak.live} versions live`);
    assert.ok(soak.grownBytes < 1024 * 1024, `the heap grew by ${soak.grownBytes} bytes in the last 800 reloads`);
  });
});
