import type { Clock } from '../../server/core/clock.ts';
import type { Logger } from '../../server/core/log.ts';
import type { Kernel } from './kernel.ts';
import { type KernelFolders, markerOf } from './kernel-folders.ts';
import { type KernelHead, launchHead } from './kernel-head.ts';
import type { KernelRequest } from './kernel-request.ts';
import { createProcessTree, type ProcessTree } from './process-tree.ts';
import { startKernel } from './start-kernel.ts';

/** A kernel that answers, with its folders; it serves one run. */
export interface ReadyKernel {
  readonly kernel: Kernel;
  readonly folders: KernelFolders;
  readonly tree: ProcessTree;
  /** From the request to ready, in ms; next to nothing for a kernel that was started before. */
  readonly readyAfterMs: number;
  readonly isPrewarmed: boolean;
  /** Ends the kernel with everything that it started; nothing of the notebook runs afterwards. */
  end(): Promise<void>;
  /** Ends the kernel, unless that was done, and removes its folders. */
  close(): Promise<void>;
}

interface KernelStart {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Starts a kernel for the request, or goes on with `head`. Throws as startKernel; nothing is left then. */
export async function startReadyKernel(
  request: KernelRequest,
  start: KernelStart,
  head?: KernelHead,
): Promise<ReadyKernel> {
  const { clock } = start;
  const startedMs = clock.monotonic();
  start.signal.throwIfAborted();
  const { folders, launch, launched } = head ?? (await launchHead(request));
  try {
    const kernel = await startKernel({ ...start, launch, launched, startTimeoutMs: request.startTimeoutMs });
    const tree = createProcessTree(kernel.pid);
    const readyAfterMs = clock.monotonic() - startedMs;
    let ending: Promise<void> | undefined;
    const end = () => (ending ??= endKernel(kernel, tree, folders, start.log, request.exitGraceMs));
    const close = async () => {
      await end();
      await folders[Symbol.asyncDispose]();
    };
    return { kernel, folders, tree, readyAfterMs, isPrewarmed: false, end, close };
  } catch (error) {
    await createProcessTree(-1).killStrays(markerOf(folders));
    await folders[Symbol.asyncDispose]();
    throw error;
  }
}

async function endKernel(
  kernel: Kernel,
  tree: ProcessTree,
  folders: KernelFolders,
  log: Logger,
  exitGraceMs: number | undefined,
): Promise<void> {
  await kernel.close(exitGraceMs);
  const strays = await tree.killStrays(markerOf(folders));
  if (strays > 0) log.warn('kernel left processes: killed', { kernel: kernel.spec.name, count: strays });
}
