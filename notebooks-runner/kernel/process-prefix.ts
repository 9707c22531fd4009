import { readFileSync } from 'node:fs';
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

const deathSignal = ['setpriv', '--pdeathsig', 'KILL', '--'];
const noCore = ['prlimit', '--core=0:0'];

/**
 * The command that sets the limits, makes the kernel die with this process, however that happens (the Deno kernel would
 * live on), and then becomes the kernel. Without the parts for which the system has no program.
 */
export async function processPrefix(limits: ProcessLimits, isDeno: boolean): Promise<readonly string[]> {
  const { hasDeathSignal, hasLimits } = await probePrefix();
  return [...(hasDeathSignal ? deathSignal : []), ...(hasLimits ? limitCommand(limits, isDeno) : [])];
}

/** What the system can do; asked once per process, by starting what a kernel would be started with. */
export async function probePrefix(): Promise<{ readonly hasDeathSignal: boolean; readonly hasLimits: boolean }> {
  // Nearly everywhere there are both, and one start tells.
  if (await probeCommand([...deathSignal, ...noCore, 'true'])) return { hasDeathSignal: true, hasLimits: true };
  const each = [probeCommand([...deathSignal, 'true']), probeCommand([...noCore, 'true'])] as const;
  const [hasDeathSignal, hasLimits] = await Promise.all(each);
  return { hasDeathSignal, hasLimits };
}

function limitCommand(limits: ProcessLimits, isDeno: boolean): string[] {
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
  return [...noCore, ...options];
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
