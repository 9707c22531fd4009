import { readdirSync, readFileSync } from 'node:fs';

export interface FoundProcess {
  readonly pid: number;
  readonly command: string;
}

/** Processes of this machine by their command line. */
export function findProcesses(isMeant: (command: string, pid: number) => boolean): FoundProcess[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return isMeant(command, Number(name)) ? [{ pid: Number(name), command }] : [];
    } catch {
      // It ended meanwhile.
      return [];
    }
  });
}

/** SIGKILL; false when there is no such process any more. */
export function kill(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}
