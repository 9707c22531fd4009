import assert from 'node:assert/strict';
import { PlaceList } from '../../server/core/place-list.ts';
import { createSeededRandom } from '../../server/core/random.ts';

describe('PlaceList', () => {
  it('holds what a Set would, whatever is added and removed in which order', () => {
    const random = createSeededRandom(7);
    const all = Array.from({ length: 30 }, (_, id) => ({ id, place: -1 }));
    const list = new PlaceList<(typeof all)[number]>();
    const model = new Set<(typeof all)[number]>();
    for (let step = 0; step < 5_000; step++) {
      const item = all[Math.floor(random.next() * all.length)];
      if (item === undefined) continue;
      if (model.has(item) || random.next() < 0.2) {
        list.remove(item);
        model.delete(item);
      } else {
        list.add(item);
        model.add(item);
      }
      assert.equal(list.size, model.size);
      assert.deepEqual(new Set(list.toArray()), model);
    }
  });
});
