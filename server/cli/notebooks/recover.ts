import { parseArgs } from 'node:util';
import { reapKernels } from '../../../notebooks-runner/kernel/kernel-folders.ts';
import { recoverOutput } from '../../../notebooks-runner/run/recover-output.ts';
import { usage } from './run-options.ts';

/** `showrunner notebooks recover OUT…`: finishes outputs of killed runners and ends what is left of their kernels. */
export async function recoverCommand(args: readonly string[]): Promise<number> {
  const { positionals } = parseArgs({ args: [...args], options: {}, allowPositionals: true });
  if (positionals.length === 0) throw usage('notebooks recover takes output notebooks');
  for (const path of positionals) {
    process.stdout.write(`${path}: ${(await recoverOutput(path)) ? 'recovered' : 'nothing to recover'}\n`);
  }
  await reapKernels();
  return 0;
}
