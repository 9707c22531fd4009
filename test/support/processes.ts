import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { waitUntil } from './wait-until.ts';

export interface ProcessInfo {
  readonly pid: number;
  readonly parentPid: number;
  /** Command line, arguments joined by spaces. */
  readonly command: string;
}

/** Processes of this machine; those that have ended and only wait for their parent to take note are left out. */
export function listProcesses(): ProcessInfo[] {
  if (!existsSync('/proc/self/stat')) return askPs();
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => readProc(Number(pid))).filter((found) => found !== undefined);
}

/** False also for a process that has ended and only waits for its parent to take note of it. */
export function isAlive(pid: number): boolean {
  return existsSync('/proc/self/stat')
    ? readProc(pid) !== undefined
    : listProcesses().some((process) => process.pid === pid);
}

/** The processes that a process started, those that they started, and so on. */
export function descendantsOf(pid: number): ProcessInfo[] {
  const all = listProcesses();
  const found: ProcessInfo[] = [];
  for (let parents = new Set([pid]); parents.size > 0; ) {
    const children = all.filter(({ parentPid }) => parents.has(parentPid));
    found.push(...children);
    parents = new Set(children.map((child) => child.pid));
  }
  return found;
}

/** Stops a process with SIGSTOP. It works on until each of its threads has taken note, which is waited for. */
export async function freeze(pid: number | undefined): Promise<void> {
  if (pid === undefined) throw new Error('the process has not started');
  process.kill(pid, 'SIGSTOP');
  await waitUntil('the process stands still', () => statesOf(pid).every((state) => state.startsWith('T')));
}

/** State of each thread; of the whole process where the machine has no /proc. */
function statesOf(pid: number): string[] {
  if (!existsSync('/proc/self/stat')) {
    return [execFileSync('ps', ['-p', String(pid), '-o', 'stat='], { encoding: 'utf8' }).trim()];
  }
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
  });
}

function readProc(pid: number): ProcessInfo | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything.
    const [state, parentPid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X') return undefined;
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return { pid, parentPid: Number(parentPid), command };
  } catch {
    // It has ended.
    return undefined;
  }
}

function askPs(): ProcessInfo[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,args='], { encoding: 'utf8' }).split('\n');
  return lines.flatMap((line) => {
    const [, pid, parentPid, state = '', command = ''] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    if (pid === undefined || state.startsWith('Z')) return [];
    return [{ pid: Number(pid), parentPid: Number(parentPid), command }];
  });
}
