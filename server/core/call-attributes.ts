/** The part of a Map that the attributes of a call have. */
export interface CallAttributes extends Iterable<[symbol, unknown]> {
  get(key: symbol): unknown;
  has(key: symbol): boolean;
  set(key: symbol, value: unknown): unknown;
  delete(key: symbol): boolean;
  clear(): void;
  readonly size: number;
}

/**
 * Attributes as one small array, key and value in turn: a call has half a dozen, which a look through finds as fast
 * as a Map does, and every busy call holds one, so that it must be small.
 */
export class FewAttributes implements CallAttributes {
  readonly #pairs: unknown[] = [];

  get(key: symbol): unknown {
    const pairs = this.#pairs;
    for (let at = 0; at < pairs.length; at += 2) if (pairs[at] === key) return pairs[at + 1];
    return undefined;
  }
  has(key: symbol): boolean {
    return this.#placeOf(key) >= 0;
  }
  set(key: symbol, value: unknown): this {
    const at = this.#placeOf(key);
    if (at < 0) this.#pairs.push(key, value);
    else this.#pairs[at + 1] = value;
    return this;
  }
  delete(key: symbol): boolean {
    const at = this.#placeOf(key);
    if (at >= 0) this.#pairs.splice(at, 2);
    return at >= 0;
  }
  clear(): void {
    this.#pairs.length = 0;
  }
  get size(): number {
    return this.#pairs.length / 2;
  }
  *[Symbol.iterator](): Generator<[symbol, unknown]> {
    for (let at = 0; at < this.#pairs.length; at += 2) yield [this.#pairs[at] as symbol, this.#pairs[at + 1]];
  }

  #placeOf(key: symbol): number {
    const pairs = this.#pairs;
    for (let at = 0; at < pairs.length; at += 2) if (pairs[at] === key) return at;
    return -1;
  }
}
