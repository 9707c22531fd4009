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

/** The command that sets the limits and then becomes the kernel; empty where the system has no `prlimit`. */
export async function processLimitPrefix(limits: ProcessLimits, isDeno: boolean): Promise<readonly string[]> {
  const { maxFileBytes, maxOpenFiles, maxCpuSeconds, maxAddressSpaceBytes } = limits;
  const given = [
    ['core', 0],
    ['fsize', maxFileBytes],
    ['nofile', maxOpenFiles],
    ['as', isDeno ? undefined : maxAddressSpaceBytes],
  ] as const;
  const options = given.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}:${value}`]));
  // The soft limit sends a signal of its own, which tells what ended the kernel; the hard one is for who ignores it.
  if (maxCpuSeconds !== undefined) options.push(`--cpu=${maxCpuSeconds}:${maxCpuSeconds + 5}`);
  return (await probeCommand(['prlimit', '--core=0:0', 'true'])) ? ['prlimit', ...options] : [];
}
