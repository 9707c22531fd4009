import assert from 'node:assert/strict';
import { faultsOf } from './bed/matching.ts';
import { type Example, examplesOf, readPage } from './bed/page.ts';
import { createPageShell, missingProgram, type PageShell } from './bed/page-shell.ts';
import { type RunningStack, startRunningStack } from './bed/running-stack.ts';
import { pages } from './pages.ts';

const exampleTimeoutMs = 50_000;

describe('examples of docs', () => {
  let stack: RunningStack;
  before(async () => {
    stack = await startRunningStack();
  });
  after(() => stack?.close());

  for (const page of pages) {
    const examples = examplesOf(readPage(page));
    if (examples.length === 0) continue;
    describe(page, () => {
      let shell: PageShell;
      before(() => {
        shell = createPageShell(stack);
      });
      for (const example of examples) {
        it(`line ${example.line}: ${titleOf(example)}`, async function () {
          const missing = missingProgram(example.commands);
          if (missing !== undefined) {
            if (this.test) this.test.title += ` (skipped: no ${missing} here)`;
            this.skip();
          }
          await check(shell, example);
        });
      }
    });
  }
});

async function check(shell: PageShell, { commands, fails, expected }: Example): Promise<void> {
  const { code, output } = await shell.run(commands, exampleTimeoutMs);
  assert.equal(code !== 0, fails, `exit code ${code}:\n${output}`);
  for (const expectation of expected) {
    const faults = faultsOf(expectation, output);
    assert.deepEqual(faults, [], `${faults.join('\n')}\nin:\n${output}`);
  }
}

/** The calls of an example, or its first line. */
function titleOf({ commands }: Example): string {
  const calls = [...commands.matchAll(/[A-Z]\w+Service\/[A-Z]\w+/g)].map(([call]) => call);
  return calls.length > 0 ? calls.join(', ') : (commands.split('\n', 1)[0] ?? '');
}
