import type { Kernelspec } from './kernelspec.ts';
import type { ProcessLimits } from './process-prefix.ts';

/** What a run needs from its kernel. */
export interface KernelRequest {
  readonly spec: Kernelspec;
  /** Default: the private folder `work`. */
  readonly cwd?: string | undefined;
  /** Variables added to the kernel's scrubbed environment. */
  readonly env: Readonly<Record<string, string>>;
  /** The host's environment, of which PATH and locale are taken over. */
  readonly hostEnv: Readonly<Record<string, string | undefined>>;
  /** Parent of the kernel's private folders. Default the system's temporary folder. */
  readonly runtimeDir?: string | undefined;
  /** How long until the kernel must answer, in ms. */
  readonly startTimeoutMs: number;
  /** How long it may take to end by itself, in ms. Default 5,000. */
  readonly exitGraceMs?: number | undefined;
  readonly processLimits: ProcessLimits;
  /** Largest heap of a Deno kernel, in bytes. */
  readonly maxHeapBytes: number;
}

/** Two requests of one key can take each other's kernel. The working directory is part of it: kernels read it at start. */
export function kernelKeyOf(request: KernelRequest): string {
  const { spec, cwd = '', env, hostEnv, runtimeDir = '', processLimits, maxHeapBytes } = request;
  const host = ['PATH', 'LANG', 'LC_ALL', 'TZ'].map((name) => hostEnv[name] ?? '');
  return JSON.stringify([spec.name, spec.argv, spec.env, cwd, env, host, runtimeDir, processLimits, maxHeapBytes]);
}
