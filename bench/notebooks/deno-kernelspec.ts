import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findKernelspec } from '../../notebooks-runner/kernel/kernelspec.ts';

/** Writes our kernelspec of Deno where other Jupyter programs find it; gives the folder for JUPYTER_PATH. */
export async function writeDenoKernelspec(dir: string): Promise<string> {
  const { argv, displayName, language, env } = await findKernelspec('deno');
  const folder = join(dir, 'kernels', 'deno');
  await mkdir(folder, { recursive: true });
  const spec = { argv, display_name: displayName, language, env, interrupt_mode: 'message' };
  await writeFile(join(folder, 'kernel.json'), JSON.stringify(spec));
  return dir;
}
