import { kernelEnvironment } from './kernel-environment.ts';
import { createKernelFolders, type KernelFolders, markerOf } from './kernel-folders.ts';
import type { KernelRequest } from './kernel-request.ts';
import { type LaunchedKernel, type LaunchOptions, launchKernel } from './launch-kernel.ts';
import { createProcessTree } from './process-tree.ts';

/** A kernel whose process is on its way up, in folders of its own. */
export interface KernelHead {
  readonly folders: KernelFolders;
  /** How its process is started; a start that finds the ports taken does so again. */
  readonly launch: LaunchOptions;
  readonly launched: LaunchedKernel;
}

/** Makes the folders and starts the process; does not wait for an answer. */
export async function launchHead(request: KernelRequest): Promise<KernelHead> {
  const { spec, processLimits } = request;
  const folders = await createKernelFolders(request.runtimeDir);
  const heap = { DENO_V8_FLAGS: `--max-old-space-size=${Math.ceil(request.maxHeapBytes / 1_048_576)}` };
  const env = spec.dialect === 'deno' ? { ...heap, ...request.env } : request.env;
  const launch: LaunchOptions = {
    spec,
    cwd: request.cwd ?? folders.work,
    env: kernelEnvironment(request.hostEnv, folders, spec.env, env),
    runtimeDir: folders.runtime,
    processLimits,
  };
  try {
    return { folders, launch, launched: await launchKernel(launch) };
  } catch (error) {
    await folders[Symbol.asyncDispose]();
    throw error;
  }
}

/** Ends what a head started and removes its folders. */
export async function abandonHead({ folders, launched }: KernelHead): Promise<void> {
  launched.process.signalGroup('SIGKILL');
  await launched.process.exited;
  launched.releasePorts();
  await createProcessTree(-1).killStrays(markerOf(folders));
  await folders[Symbol.asyncDispose]();
}
