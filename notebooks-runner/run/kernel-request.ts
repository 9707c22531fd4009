import type { KernelRequest } from '../kernel/kernel-request.ts';
import type { Kernelspec } from '../kernel/kernelspec.ts';
import { type RunNotebookOptions, withDefaultLimits } from './run-options.ts';

/** The options of a run that say which kernel it needs. */
export type KernelOptions = Pick<
  RunNotebookOptions,
  'cwd' | 'env' | 'hostEnv' | 'runtimeDir' | 'startTimeoutMs' | 'exitGraceMs' | 'limits'
>;

/** The kernel for a run with these options; `secrets` are added to its environment. */
export function kernelRequestOf(
  options: KernelOptions,
  spec: Kernelspec,
  secrets: Readonly<Record<string, string>>,
): KernelRequest {
  const limits = withDefaultLimits(options.limits);
  return {
    spec,
    cwd: options.cwd,
    env: { ...options.env, ...secrets },
    hostEnv: options.hostEnv ?? {},
    runtimeDir: options.runtimeDir,
    startTimeoutMs: options.startTimeoutMs ?? 60_000,
    exitGraceMs: options.exitGraceMs,
    processLimits: {
      maxFileBytes: limits.maxDiskBytes,
      maxOpenFiles: limits.maxOpenFiles,
      maxCpuSeconds: limits.maxCpuSeconds || undefined,
      maxAddressSpaceBytes: limits.maxAddressSpaceBytes || undefined,
    },
    maxHeapBytes: limits.maxMemoryBytes,
  };
}
