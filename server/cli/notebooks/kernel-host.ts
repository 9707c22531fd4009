import { jupyterKernelDirs } from '../../../notebooks-runner/kernel/kernel-dirs.ts';
import type { KernelSearch } from '../../../notebooks-runner/kernel/kernelspec.ts';
import { systemClock } from '../../core/clock.ts';
import { readConfig } from '../../core/config/read-config.ts';
import { createLogger, type LogLevel } from '../../core/log.ts';

/** What every run on this host has in common. */
export function kernelHost(env: NodeJS.ProcessEnv, level: LogLevel, kernelDirs: readonly string[] = []) {
  const kernels: KernelSearch = { deno: readConfig(env).DENO, dirs: [...kernelDirs, ...jupyterKernelDirs(env)] };
  return { kernels, hostEnv: env, clock: systemClock, log: createLogger({ level }) };
}
