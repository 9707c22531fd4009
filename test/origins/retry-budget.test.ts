import assert from 'node:assert/strict';
import { backoffMs } from '../../plugins/filters/retry/backoff.ts';
import { createRetryBudget } from '../../plugins/origins/retry-budget.ts';
import { createSeededRandom } from '../../server/core/random.ts';

describe('the retry budget', () => {
  it('allows three extra calls always, and 20 % of the calls in progress', () => {
    const budget = createRetryBudget({ percent: 20, least: 3 });
    const taken = [budget.take(), budget.take(), budget.take()];
    assert.ok(taken.every((one) => one !== undefined));
    assert.equal(budget.take(), undefined);
    assert.equal(budget.refused, 1);
    const leaves = Array.from({ length: 20 }, () => budget.enter());
    const fourth = budget.take();
    assert.ok(fourth !== undefined && budget.take() === undefined);
    for (const leave of leaves) leave();
    fourth();
    assert.equal(budget.take(), undefined);
    taken[0]?.();
    assert.ok(budget.take() !== undefined);
  });

  it('counts out once, however often it is told', () => {
    const budget = createRetryBudget({ percent: 100, least: 0 });
    assert.equal(budget.take(), undefined);
    const leave = budget.enter();
    const other = budget.enter();
    leave();
    leave();
    assert.ok(budget.take() !== undefined, 'one call is still in progress');
    assert.equal(budget.take(), undefined);
    other();
  });
});

describe('the backoff', () => {
  it('is spread over the whole time up to a bound that doubles up to its maximum', () => {
    const config = { baseMs: 100, multiplier: 2, maxMs: 350 };
    const random = createSeededRandom(5);
    for (const [retry, bound] of [
      [1, 100],
      [2, 200],
      [3, 350],
      [9, 350],
    ] as const) {
      const waits = Array.from({ length: 2000 }, () => backoffMs(config, retry, random));
      assert.ok(waits.every((wait) => wait >= 0 && wait < bound));
      const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
      assert.ok(Math.abs(mean - bound / 2) < bound * 0.03, `mean ${mean} of bound ${bound}`);
      assert.ok(Math.min(...waits) < bound * 0.01 && Math.max(...waits) > bound * 0.99);
    }
  });
});
