import { execFileSync } from 'node:child_process';
import { messageOf } from '../../server/core/errors.ts';

export interface SmallDisk {
  unmount(): void;
}

/**
 * Mounts an in-memory file system of this size (e.g. `1m`) over the folder. Where that is not allowed the running
 * test is skipped, with the reason in its title.
 */
export function mountSmallDisk(test: Mocha.Context, path: string, size: string): SmallDisk {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'showrunner-test', path], { stdio: 'pipe' });
  } catch (error) {
    const reason = messageOf(error).split('\n').at(-1);
    if (test.test) test.test.title += ` (skipped: mounting a tmpfs is not allowed here: ${reason})`;
    test.skip();
  }
  return { unmount: () => void execFileSync('umount', [path], { stdio: 'pipe' }) };
}
