import { accessSync, constants, readFileSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { probeCommand } from './probe-command.ts';

/** Bounds that the system itself enforces on each process of a kernel; undefined = none. */
export interface ProcessLimits {
  /** Largest file that may be written, in bytes. */
  readonly maxFileBytes?: number | undefined;
  readonly maxOpenFiles?: number | undefined;
  /** Processor time per process, in seconds. */
  readonly maxCpuSeconds?: number | undefined;
  /** Address space in bytes; not for Deno, which reserves far more than it uses. */
  readonly maxAddressSpaceBytes?: number | undefined;
}

const deathSignal = ['--pdeathsig', 'KILL', '--'];
const noCore = '--core=0:0';

/** False once a kernel did not start by what was found: it is then tried out first. */
let isTrusted = true;

/**
 * The command that sets the limits, makes the kernel die with this process, however that happens (the Deno kernel would
 * live on), and then becomes the kernel. Without the parts for which the system has no program. To try them out first
 * would take a tenth of the start of a kernel, so that is done only after a failure, see `distrustPrefix`.
 */
export async function processPrefix(limits: ProcessLimits, isDeno: boolean): Promise<readonly string[]> {
  const [setpriv, prlimit] = [findProgram('setpriv'), findProgram('prlimit')];
  const mayUse = async (argv: readonly string[]) => isTrusted || (await probeCommand([...argv, 'true']));
  const death = setpriv !== undefined && (await mayUse([setpriv, ...deathSignal])) ? [setpriv, ...deathSignal] : [];
  if (prlimit === undefined || !(await mayUse([prlimit, noCore]))) return death;
  return [...death, prlimit, ...limitOptions(limits, isDeno)];
}

/** True, once per process, when what a kernel's process wrote says that the prefix was at fault: start it again. */
export function distrustPrefix(logTail: string): boolean {
  const isFault = isTrusted && /^(?:\S*\/)?(?:setpriv|prlimit): /m.test(logTail);
  if (isFault) isTrusted = false;
  return isFault;
}

const programs = new Map<string, string | undefined>();

/** Path of a program of util-linux; those of BusyBox know less. Linux only. */
function findProgram(name: string): string | undefined {
  if (programs.has(name)) return programs.get(name);
  const dirs = process.platform === 'linux' ? (process.env['PATH'] ?? '').split(delimiter) : [];
  const path = dirs.map((dir) => join(dir, name)).find(isProgram);
  programs.set(name, path);
  return path;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return !/(?:busy|toy)box$/.test(realpathSync(path));
  } catch {
    return false;
  }
}

function limitOptions(limits: ProcessLimits, isDeno: boolean): string[] {
  const { maxFileBytes, maxOpenFiles, maxCpuSeconds, maxAddressSpaceBytes } = limits;
  const given = [
    ['fsize', maxFileBytes, 'Max file size'],
    ['nofile', maxOpenFiles, 'Max open files'],
    ['as', isDeno ? undefined : maxAddressSpaceBytes, 'Max address space'],
  ] as const;
  const options = given.flatMap(([name, wanted, title]) => {
    if (wanted === undefined) return [];
    // A limit that is lower already stays: to raise it needs a privilege, and without it nothing would start.
    const value = Math.min(wanted, ownHardLimit(title));
    return [`--${name}=${value}:${value}`];
  });
  // The soft limit sends a signal of its own, which tells what ended the kernel; the hard one is for who ignores it.
  if (maxCpuSeconds !== undefined) options.push(`--cpu=${maxCpuSeconds}:${maxCpuSeconds + 5}`);
  return [noCore, ...options];
}

/** This process's own limit, by its title in /proc. */
function ownHardLimit(title: string): number {
  try {
    const line = readFileSync('/proc/self/limits', 'latin1')
      .split('\n')
      .find((text) => text.startsWith(title));
    const hard = /^ +\S+ +(\d+)/.exec(line?.slice(title.length) ?? '')?.[1];
    return hard === undefined ? Number.POSITIVE_INFINITY : Number(hard);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
