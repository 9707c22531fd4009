/** What a window holds. */
export interface OutcomeTotals {
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
}

/** Outcomes of the latest calls; adding and reading take the same time however large it is. */
export interface OutcomeWindow {
  add(isFailure: boolean, isSlow: boolean, nowMs: number): void;
  /** The totals themselves, which change with the next call of `add`. */
  totals(nowMs: number): OutcomeTotals;
  clear(nowMs: number): void;
}

const failureBit = 1;
const slowBit = 2;

/** The last `size` calls: a ring of two bits each, and running totals. */
export function createCountWindow(size: number): OutcomeWindow {
  const ring = new Uint8Array(size);
  const total = { calls: 0, failures: 0, slow: 0 };
  let next = 0;
  const count = (bits: number, by: number) => {
    if ((bits & failureBit) !== 0) total.failures += by;
    if ((bits & slowBit) !== 0) total.slow += by;
  };
  return {
    add: (isFailure, isSlow) => {
      const bits = (isFailure ? failureBit : 0) | (isSlow ? slowBit : 0);
      if (total.calls === size) count(ring[next] ?? 0, -1);
      else total.calls++;
      ring[next] = bits;
      count(bits, 1);
      next = (next + 1) % size;
    },
    totals: () => total,
    clear: () => {
      next = 0;
      Object.assign(total, { calls: 0, failures: 0, slow: 0 });
    },
  };
}

function count(totals: { calls: number; failures: number; slow: number }, isFailure: boolean, isSlow: boolean): void {
  totals.calls++;
  if (isFailure) totals.failures++;
  if (isSlow) totals.slow++;
}

/** The calls of the last `seconds` seconds: a ring of seconds, and running totals. Time is monotonic ms. */
export function createTimeWindow(seconds: number): OutcomeWindow {
  const ring = Array.from({ length: seconds }, () => ({ calls: 0, failures: 0, slow: 0 }));
  const total = { calls: 0, failures: 0, slow: 0 };
  let head = 0;

  /** Moves to the second of `nowMs`, and leaves the seconds that are too old by then; a long pause leaves all. */
  function bucketAt(nowMs: number) {
    const second = Math.floor(nowMs / 1000);
    for (let steps = Math.min(second - head, seconds); steps > 0; steps--) {
      const bucket = ring[(second - steps + 1) % seconds];
      if (bucket === undefined) continue;
      total.calls -= bucket.calls;
      total.failures -= bucket.failures;
      total.slow -= bucket.slow;
      Object.assign(bucket, { calls: 0, failures: 0, slow: 0 });
    }
    head = Math.max(head, second);
    return ring[head % seconds];
  }

  return {
    add: (isFailure, isSlow, nowMs) => {
      const bucket = bucketAt(nowMs);
      if (bucket !== undefined) count(bucket, isFailure, isSlow);
      count(total, isFailure, isSlow);
    },
    totals: (nowMs) => {
      bucketAt(nowMs);
      return total;
    },
    clear: (nowMs) => {
      bucketAt(nowMs);
      for (const counts of [...ring, total]) Object.assign(counts, { calls: 0, failures: 0, slow: 0 });
    },
  };
}
