/**
 * Indexes of the k highest scores, best first, ties to the lower index. `accepts` leaves titles out; so does a
 * score of -Infinity or NaN. A heap of k: one comparison for most of the scores.
 */
export function topK(
  scores: Float32Array | Float64Array,
  k: number,
  accepts?: (index: number) => boolean,
): Uint32Array {
  const heap = new Uint32Array(Math.min(k, scores.length));
  if (heap.length === 0) return heap;
  let size = 0;
  const score = (place: number) => scores[heap[place] ?? 0] ?? 0;
  // The root is the worst kept entry: a lower score, or the same score and a higher index.
  const isWorse = (a: number, b: number) =>
    score(a) < score(b) || (score(a) === score(b) && (heap[a] ?? 0) > (heap[b] ?? 0));
  const swap = (a: number, b: number) => {
    const kept = heap[a] ?? 0;
    heap[a] = heap[b] ?? 0;
    heap[b] = kept;
  };
  const siftDown = (end: number) => {
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      if (left >= end) return;
      const worst = left + 1 < end && isWorse(left + 1, left) ? left + 1 : left;
      if (!isWorse(worst, at)) return;
      swap(worst, at);
      at = worst;
    }
  };

  // The score to beat: of the root once the heap is full. Indexes ascend, so an equal score never displaces a kept one.
  let least = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < scores.length; index++) {
    if (!((scores[index] ?? 0) > least)) continue;
    if (accepts && !accepts(index)) continue;
    if (size < heap.length) {
      heap[size] = index;
      size += 1;
      for (let at = size - 1; at > 0; ) {
        const parent = (at - 1) >> 1;
        if (!isWorse(at, parent)) break;
        swap(at, parent);
        at = parent;
      }
    } else {
      heap[0] = index;
      siftDown(size);
    }
    if (size === heap.length) least = score(0);
  }
  for (let end = size - 1; end > 0; end--) {
    swap(0, end);
    siftDown(end);
  }
  return heap.subarray(0, size);
}
