import { resolve } from 'node:path';
import { jupyterKernelDirs } from '../../../notebooks-runner/kernel/kernel-dirs.ts';
import type { KernelSearch } from '../../../notebooks-runner/kernel/kernelspec.ts';
import { readConfig } from '../../core/config/read-config.ts';

/** Where the kernels of every run on this host are found, those in `kernelDirs` first. */
export function kernelHost(env: NodeJS.ProcessEnv, kernelDirs: readonly string[] = []) {
  const dirs = [...kernelDirs.map((dir) => resolve(dir)), ...jupyterKernelDirs(env)];
  const kernels: KernelSearch = { deno: readConfig(env).DENO, dirs };
  return { kernels, hostEnv: env };
}
