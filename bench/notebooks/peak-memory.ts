import { createProcessTree } from '../../notebooks-runner/kernel/process-tree.ts';

/** Watches the resident memory of a process with all that it started. */
export interface PeakMemory extends AsyncDisposable {
  /** The most so far, in bytes. */
  bytes(): number;
}

const intervalMs = 100;

export function peakMemory(pid: number): PeakMemory {
  const tree = createProcessTree(pid);
  const stop = new AbortController();
  let peak = 0;
  const watch = async () => {
    while (!stop.signal.aborted) {
      peak = Math.max(peak, (await tree.sample())?.bytes ?? 0);
      await new Promise((resolve) => setTimeout(resolve, intervalMs));
    }
  };
  const watching = watch();
  return {
    bytes: () => peak,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await watching;
    },
  };
}
