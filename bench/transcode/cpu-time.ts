import { readFileSync } from 'node:fs';

/** Processor seconds of a process and of the children it has waited for. */
export interface CpuTime {
  readonly own: number;
  readonly children: number;
}

/** Reads /proc; Linux only, as the bench is. */
export function cpuTime(pid: number | 'self' = 'self'): CpuTime {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const seconds = (first: number) => (Number(fields[first]) + Number(fields[first + 1])) / 100;
  return { own: seconds(11), children: seconds(13) };
}

export interface Spent {
  readonly wallSeconds: number;
  /** Of child processes started and ended meanwhile. */
  readonly childSeconds: number;
}

/** What work costs that is done by child processes. */
export async function spend(work: () => Promise<unknown>): Promise<Spent> {
  const before = cpuTime().children;
  const startedAt = performance.now();
  await work();
  return { wallSeconds: (performance.now() - startedAt) / 1000, childSeconds: cpuTime().children - before };
}
