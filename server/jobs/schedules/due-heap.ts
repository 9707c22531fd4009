/** Ids by the time at which they are due, soonest first. A binary heap: adding and taking cost log n. */
export interface DueHeap {
  /** The soonest entry. */
  peek(): { readonly id: string; readonly atMs: number } | undefined;
  take(): { readonly id: string; readonly atMs: number } | undefined;
  add(id: string, atMs: number): void;
  readonly size: number;
}

/** An empty one. The same id may stand in it more than once. */
export function createDueHeap(): DueHeap {
  const heap: { readonly id: string; readonly atMs: number }[] = [];
  const at = (index: number) => heap[index]?.atMs ?? Number.POSITIVE_INFINITY;
  const swap = (a: number, b: number) => {
    const [first, second] = [heap[a], heap[b]];
    if (first === undefined || second === undefined) return;
    heap[a] = second;
    heap[b] = first;
  };
  return {
    peek: () => heap[0],
    take: () => {
      const top = heap[0];
      const last = heap.pop();
      if (top === undefined || last === undefined || heap.length === 0) return top;
      heap[0] = last;
      for (let index = 0; ; ) {
        const left = index * 2 + 1;
        const least = at(left + 1) < at(left) ? left + 1 : left;
        if (at(least) >= at(index)) return top;
        swap(index, least);
        index = least;
      }
    },
    add: (id, atMs) => {
      heap.push({ id, atMs });
      for (let index = heap.length - 1; index > 0; ) {
        const parent = (index - 1) >> 1;
        if (at(parent) <= at(index)) return;
        swap(parent, index);
        index = parent;
      }
    },
    get size() {
      return heap.length;
    },
  };
}
