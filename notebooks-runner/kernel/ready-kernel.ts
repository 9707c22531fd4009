import type { Clock } from '../../server/core/clock.ts';
import type { Logger } from '../../server/core/log.ts';
import type { Kernel } from './kernel.ts';
import { kernelEnvironment } from './kernel-environment.ts';
import { createKernelFolders, type KernelFolders, markerOf } from './kernel-folders.ts';
import type { Kernelspec } from './kernelspec.ts';
import type { ProcessLimits } from './process-limits.ts';
import { createProcessTree, type ProcessTree } from './process-tree.ts';
import { startKernel } from './start-kernel.ts';

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
  readonly processLimits: ProcessLimits;
  /** Largest heap of a Deno kernel, in bytes. */
  readonly maxHeapBytes: number;
}

/** A kernel that answers, with its folders; it serves one run. */
export interface ReadyKernel {
  readonly kernel: Kernel;
  readonly folders: KernelFolders;
  readonly tree: ProcessTree;
  /** From the request to ready, in ms; next to nothing for a kernel that was started before. */
  readonly readyAfterMs: number;
  readonly isPrewarmed: boolean;
  /** Ends the kernel with everything it started and removes its folders. */
  close(): Promise<void>;
}

export interface KernelStart {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Starts a kernel for the request. Throws as startKernel; nothing is left then. */
export async function startReadyKernel(request: KernelRequest, start: KernelStart): Promise<ReadyKernel> {
  const { clock, log } = start;
  const { spec } = request;
  const startedMs = clock.monotonic();
  const folders = await createKernelFolders(request.runtimeDir);
  try {
    const heap = { DENO_V8_FLAGS: `--max-old-space-size=${Math.ceil(request.maxHeapBytes / 1_048_576)}` };
    const env = spec.dialect === 'deno' ? { ...heap, ...request.env } : request.env;
    const kernel = await startKernel({
      spec,
      cwd: request.cwd ?? folders.work,
      env: kernelEnvironment(request.hostEnv, folders, spec.env, env),
      runtimeDir: folders.runtime,
      startTimeoutMs: request.startTimeoutMs,
      processLimits: request.processLimits,
      ...start,
    });
    const tree = createProcessTree(kernel.pid);
    const readyAfterMs = clock.monotonic() - startedMs;
    return { kernel, folders, tree, readyAfterMs, isPrewarmed: false, close: () => end(kernel, tree, folders, log) };
  } catch (error) {
    await createProcessTree(-1).killStrays(markerOf(folders));
    await folders[Symbol.asyncDispose]();
    throw error;
  }
}

async function end(kernel: Kernel, tree: ProcessTree, folders: KernelFolders, log: Logger): Promise<void> {
  await kernel.close();
  const strays = await tree.killStrays(markerOf(folders));
  if (strays > 0) log.warn('kernel left processes: killed', { kernel: kernel.spec.name, count: strays });
  await folders[Symbol.asyncDispose]();
}
