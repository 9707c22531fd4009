/** Something that is in one place list at most. */
export interface Placed {
  /** Its place there, which the list keeps; -1 = in none. */
  place: number;
}

/**
 * What is going on at the moment, e.g. calls: adding and removing cost the same however much there is, in any order.
 * No Set: that makes its table anew after every few changes, and each old table points to the next. As soon as one of
 * them is in the old generation, all later ones, with what was in them, live to the next full collection.
 */
export class PlaceList<T extends Placed> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    item.place = this.#items.push(item) - 1;
  }

  /** Removes what is there; anything else changes nothing. */
  remove(item: T): void {
    const items = this.#items;
    const { place } = item;
    if (items[place] !== item) return;
    item.place = -1;
    const last = items.pop();
    if (last === undefined || last === item) return;
    items[place] = last;
    last.place = place;
  }

  /** A copy, in no order. */
  toArray(): T[] {
    return [...this.#items];
  }
}
