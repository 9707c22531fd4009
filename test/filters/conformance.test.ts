import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openFilterKit } from '../../plugins/engine/filter-kit.ts';
import { createFilterFolders } from './bed/filter-folders.ts';
import { shippedDir } from './bed/shipped.ts';

/** Names of the checks that the filter does not pass. */
async function faultsOf(fields: string, head = ''): Promise<string[]> {
  await using folders = await createFilterFolders();
  await folders.filter('a', fields, head);
  await using kit = await openFilterKit(join(folders.path, 'a'));
  const results = await kit.conform({ calls: 50, budgetNs: 500_000 });
  return results.filter(({ isPassed }) => !isPassed).map(({ check }) => check);
}

describe('conformance of a filter', () => {
  afterEach(() => {
    delete (globalThis as { kept?: unknown }).kept;
  });

  it('finds nothing at a good one, whether it is fast, asynchronous, or refuses', async () => {
    assert.deepEqual(await faultsOf('open: () => ({ n: 0 }), run: (_call, { state }) => { state.n++; },'), []);
    assert.deepEqual(await faultsOf('run: async () => {}, onRequestMessage: async () => undefined,'), []);
    const refusal = "throw new AppError({ code: 7, reason: 'NO', message: 'no' });";
    assert.deepEqual(await faultsOf(`run: () => { ${refusal} },`, "import { AppError } from 'showrunner/filter';"), []);
  });

  it('finds calls that make a filter fail', async () => {
    assert.deepEqual(await faultsOf("run: (call) => void call.requestMetadata.get('x-0').length,"), ['odd calls']);
    assert.deepEqual(await faultsOf("failurePolicy: 'open', onRequestMessage: (m) => void m.a.b,"), ['odd calls']);
    assert.deepEqual(await faultsOf('timeoutMs: 5, run: () => new Promise(() => {}),'), ['odd calls', 'budget']);
  });

  it('finds a held event loop, which is over budget, too', async () => {
    const busy = 'run: () => { const until = performance.now() + 55; while (performance.now() < until); },';
    await using folders = await createFilterFolders();
    await folders.filter('a', busy);
    await using kit = await openFilterKit(join(folders.path, 'a'));
    const results = await kit.conform({ calls: 4 });
    const faults = results.filter(({ isPassed }) => !isPassed).map(({ check }) => check);
    assert.deepEqual(faults, ['event loop', 'budget']);
  });

  it('takes a pause that does not come again for the machine’s', async () => {
    const once = 'let isPaused = false;';
    const pause = 'const until = performance.now() + 55; while (performance.now() < until);';
    assert.deepEqual(await faultsOf(`run: () => { if (isPaused) return; isPaused = true; ${pause} },`, once), []);
  });

  it('finds states that stay', async () => {
    const leak =
      'open: () => { const state = {}; (globalThis.kept ??= []).push(state); return state; }, run: () => {},';
    assert.deepEqual(await faultsOf(leak), ['leaks']);
  });

  it('is given for every shipped filter, switched on', async function () {
    this.timeout(60_000);
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const configs: Record<string, object> = {
      auth: { keys: [{ id: 'kit', secret: 'k'.repeat(32), scopes: [] }], allowAnonymous: true },
      'surgical-debug': { enabled: true, rules: [{ name: 'all', paths: ['*'], expiresAt }] },
      'fault-injection': { enabled: true, rules: [{ percent: 10, abort: 'UNAVAILABLE' }] },
    };
    const switchable = new Set(['bulkhead', 'circuit-breaker', 'concurrency-limit', 'deadline-budget']);
    for (const name of ['load-shedding', 'message-rate', 'stress']) switchable.add(name);
    for (const name of await readdir(shippedDir)) {
      const config = configs[name] ?? (switchable.has(name) ? { enabled: true } : {});
      await using kit = await openFilterKit(join(shippedDir, name), { config });
      const results = await kit.conform({ calls: 200, budgetNs: 1e6 });
      const faults = results.filter(({ isPassed }) => !isPassed);
      assert.deepEqual(faults, [], name);
    }
  });
});
