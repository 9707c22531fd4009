import assert from 'node:assert/strict';
import { createSeededRandom } from '../../server/core/random.ts';
import { ndcgAt, ratingErrors, recallAt } from '../../server/ranking/maths/metrics.ts';
import { topK } from '../../server/ranking/maths/top-k.ts';

describe('ranking metrics', () => {
  it('give RMSE and MAE', () => {
    const { rmse, mae } = ratingErrors([4, 2], [3, 2.5]);
    assert.equal(mae, 0.75);
    assert.ok(Math.abs(rmse - Math.sqrt(0.625)) < 1e-12);
    assert.ok(Number.isNaN(ratingErrors([], []).rmse));
  });

  it('give NDCG against the best possible order', () => {
    assert.equal(ndcgAt(10, [7, 8], new Set([7, 8])), 1);
    assert.equal(ndcgAt(1, [7], new Set([7, 8, 9])), 1);
    const late = ndcgAt(10, [1, 7, 2], new Set([7]));
    assert.ok(Math.abs(late - 1 / Math.log2(3)) < 1e-12);
    assert.equal(ndcgAt(10, [1, 2], new Set([7])), 0);
    assert.ok(Number.isNaN(ndcgAt(10, [1], new Set())));
  });

  it('divide recall by what could be found', () => {
    assert.equal(recallAt(2, [1, 2, 3], new Set([1, 3, 4, 5])), 0.5);
    assert.equal(recallAt(20, [1, 2, 3], new Set([1, 3, 4, 5])), 0.5);
  });
});

describe('top k', () => {
  it('equals a full sort with ties to the lower index', () => {
    const random = createSeededRandom(7);
    for (let round = 0; round < 200; round++) {
      const length = Math.floor(random.next() * 60);
      const scores = Float32Array.from({ length }, () => Math.floor(random.next() * 9));
      const k = Math.floor(random.next() * 20);
      const isEven = (index: number) => index % 2 === 0;
      const sorted = (accepts: (index: number) => boolean) =>
        [...scores.keys()]
          .filter(accepts)
          .sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b)
          .slice(0, k);
      assert.deepEqual(
        [...topK(scores, k)],
        sorted(() => true),
      );
      assert.deepEqual([...topK(scores, k, isEven)], sorted(isEven));
    }
  });

  it('leaves out what has no score', () => {
    const scores = Float64Array.of(Number.NaN, 1, Number.NEGATIVE_INFINITY, 2);
    assert.deepEqual([...topK(scores, 10)], [3, 1]);
  });
});
