import { execFile } from 'node:child_process';

const found = new Map<string, Promise<boolean>>();

/** True when the command runs and ends with 0; tried once per process. Linux only: false elsewhere. */
export function probeCommand(argv: readonly string[]): Promise<boolean> {
  const [command = '', ...args] = argv;
  const key = JSON.stringify(argv);
  const known = found.get(key);
  if (known !== undefined) return known;
  const probe = new Promise<boolean>((resolve) => {
    if (process.platform !== 'linux') resolve(false);
    else execFile(command, args, { timeout: 5_000 }, (error) => resolve(error === null));
  });
  found.set(key, probe);
  return probe;
}
