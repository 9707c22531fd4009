/** A percentile over the latest values. */
export interface PercentileWindow {
  add(value: number): void;
  /** Undefined until there are enough values. */
  read(): number | undefined;
}

/** Keeps the last `size` values; reads are exact at every sixteenth value and stand in between. */
export function createPercentileWindow(percent: number, size = 256, least = 20): PercentileWindow {
  const values = new Float64Array(size);
  let count = 0;
  let current: number | undefined;
  return {
    add: (value) => {
      values[count % size] = value;
      count++;
      if (count < least || (count % 16 !== 0 && current !== undefined)) return;
      const sorted = values.slice(0, Math.min(count, size)).sort();
      current = sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))];
    },
    read: () => current,
  };
}
