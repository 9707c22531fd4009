import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { kernelMissing } from '../errors.ts';

const remedy = 'run "npm ci" (with optional dependencies), or set the path of a deno 2.9 or newer in SHOWRUNNER_DENO';

/**
 * Path of the real deno executable: the configured one, else that of the npm package for this platform. The package's
 * `bin` is a shim that starts deno as its child, which signals would not reach. Throws KERNEL_MISSING.
 */
export function findDeno(configured?: string): string {
  const path = configured || packagedDeno();
  if (path === undefined)
    throw kernelMissing('deno', `no deno for ${process.platform} ${process.arch} found; ${remedy}`);
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw kernelMissing('deno', `"${path}" is not an executable file; ${remedy}`);
  }
  return path;
}

function packagedDeno(): string | undefined {
  const libc = process.platform === 'linux' ? '-glibc' : '';
  const name = `@deno/${process.platform}-${process.arch}${libc}`;
  try {
    const fromHere = createRequire(import.meta.url);
    const fromDeno = createRequire(fromHere.resolve('deno/package.json'));
    return join(dirname(fromDeno.resolve(`${name}/package.json`)), process.platform === 'win32' ? 'deno.exe' : 'deno');
  } catch {
    return undefined;
  }
}
