import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';

/** What a look at a process and its descendants found. */
export interface TreeSample {
  /** Resident bytes of all; shared pages count once per process. */
  readonly bytes: number;
  readonly processes: number;
}

/** Follows one process and everything that it ever started, also what left its group and session. */
export interface ProcessTree {
  /** Undefined when the process is gone or the system has no /proc. */
  sample(): Promise<TreeSample | undefined>;
  /**
   * Ends by SIGKILL every descendant that still lives: those seen by a sample, those of the process's session and
   * those that carry `marker` in their environment. Gives how many were ended.
   */
  killStrays(marker: string): Promise<number>;
}

/** Pids that are read at once. */
const batch = 64;

/** How often an environment that is empty is read, and how long after each other. */
const mostLooks = 10;
const lookAgainMs = 2;

/**
 * Follows the process of that pid, which should live already: what started before it is never ended. With -1 nothing is
 * followed, and strays are known by their marker alone.
 */
export function createProcessTree(pid: number): ProcessTree {
  /** pid → start time, so that a pid which the system gave to somebody else is not taken for ours. */
  const seen = new Map<number, number>();
  /** What started before the process cannot be its descendant. */
  const bornAt = readStat(pid)?.startTime ?? 0;

  function sample(): TreeSample | undefined {
    if (residentBytesOf(pid) === undefined) return undefined;
    const pending = [pid, ...seen.keys()];
    const counted = new Set<number>();
    let bytes = 0;
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (counted.has(next)) continue;
      const facts = readStat(next);
      const known = seen.get(next);
      if (facts === undefined || (known !== undefined && known !== facts.startTime)) {
        seen.delete(next);
        continue;
      }
      counted.add(next);
      if (next !== pid) seen.set(next, facts.startTime);
      bytes += residentBytesOf(next) ?? 0;
      pending.push(...childrenOf(next));
    }
    return { bytes, processes: counted.size };
  }

  async function isStray(candidate: number, marker: string): Promise<boolean> {
    if (candidate === process.pid) return false;
    const facts = readStat(candidate);
    if (facts === undefined || facts.startTime < bornAt) return false;
    if (facts.session === pid || seen.get(candidate) === facts.startTime) return true;
    return (await environOf(candidate)).split('\0').includes(marker);
  }

  return {
    sample: () => Promise.resolve(sample()),
    killStrays: async (marker) => {
      const pids = allPids();
      let killed = 0;
      for (let start = 0; start < pids.length; start += batch) {
        const group = pids.slice(start, start + batch);
        const found = await Promise.all(group.map((candidate) => isStray(candidate, marker)));
        for (const [index, candidate] of group.entries()) if (found[index] === true && kill(candidate)) killed++;
      }
      return killed;
    },
  };
}

/** Ends by SIGKILL every process that carries `marker` (`NAME=value`) in its environment; gives how many. */
export async function killMarked(marker: string): Promise<number> {
  return createProcessTree(-1).killStrays(marker);
}

function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}

function allPids(): number[] {
  return listDir('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** `startTime` in ticks since the system started. */
function readStat(pid: number): { readonly session: number; readonly startTime: number } | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  // The command name in brackets may hold anything, so fields are counted from behind it: state is field 3.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields === undefined || fields[0] === 'Z') return undefined;
  return { session: Number(fields[3]), startTime: Number(fields[19]) };
}

/**
 * Read in the background: it waits while the process changes its memory, as the other files do not. A process amid an
 * exec has memory and no environment for a moment: it is looked at again, or it would be missed.
 */
async function environOf(pid: number): Promise<string> {
  for (let look = 0; look < mostLooks; look++) {
    const environ = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => undefined);
    if (environ === undefined || environ !== '' || residentBytesOf(pid) === undefined) return environ ?? '';
    await setTimeout(lookAgainMs);
  }
  return '';
}

function residentBytesOf(pid: number): number | undefined {
  const status = readProc(`/proc/${pid}/status`);
  const kibibytes = status === undefined ? undefined : /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

/** Children belong to the thread that started them. */
function childrenOf(pid: number): number[] {
  const lists = listDir(`/proc/${pid}/task`).map((thread) => readProc(`/proc/${pid}/task/${thread}/children`));
  return lists.flatMap((list) => (list ?? '').split(' ').filter(Boolean).map(Number));
}

// The system answers these from memory in some µs, a tenth of what a read in the background costs.
function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

function listDir(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
