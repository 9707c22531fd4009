import { readFile, stat } from 'node:fs/promises';
import { createHeadStart, type HeadStart } from '../../../notebooks-runner/kernel/head-start.ts';
import { findKernelspec, type KernelSearch } from '../../../notebooks-runner/kernel/kernelspec.ts';
import { isJsonObject } from '../../../notebooks-runner/nbformat/json-value.ts';
import { kernelNameOf } from '../../../notebooks-runner/nbformat/notebook.ts';
import { type KernelOptions, kernelRequestOf } from '../../../notebooks-runner/run/kernel-request.ts';

/** What says which kernel a notebook runs on. */
export interface LaunchAheadOptions extends KernelOptions {
  readonly inputPath: string;
  readonly kernelName: string | undefined;
  readonly kernels: KernelSearch;
}

/** A larger notebook takes longer to parse than the start of its kernel could gain. */
const maxBytes = 1_048_576;

/**
 * Launches the kernel that the notebook most likely runs on, before what runs notebooks is even loaded: both take about
 * as long. Undefined where that is not easily said; the run itself then says what is wrong, if anything.
 */
export async function launchAhead(options: LaunchAheadOptions): Promise<HeadStart | undefined> {
  try {
    const name = options.kernelName ?? (await readKernelName(options.inputPath));
    if (name === undefined) return undefined;
    return await createHeadStart(kernelRequestOf(options, await findKernelspec(name, options.kernels), {}));
  } catch {
    return undefined;
  }
}

async function readKernelName(path: string): Promise<string | undefined> {
  if ((await stat(path)).size > maxBytes) return undefined;
  const document: unknown = JSON.parse(await readFile(path, 'utf8'));
  const metadata = isJsonObject(document) ? document['metadata'] : undefined;
  return isJsonObject(metadata) ? kernelNameOf({ metadata }) : undefined;
}
