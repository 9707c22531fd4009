import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { killMarked } from './process-tree.ts';

/** Private folders (0700) of one kernel. */
export interface KernelFolders extends AsyncDisposable {
  /** Holds the others. */
  readonly root: string;
  /** Holds the connection file. */
  readonly runtime: string;
  readonly home: string;
  readonly temp: string;
  /** Working directory for kernels that name none. */
  readonly work: string;
}

/** With the host's name: several may share a folder, and a pid means something on its own host only. */
const prefix = `showrunner-kernel-${hostname()
  .replace(/[^A-Za-z0-9]/g, '')
  .slice(0, 40)}-`;
/** In every kernel's environment, and so in that of whatever it starts: by this strays are found. */
const markerName = 'NOTEBOOK_KERNEL_DIR';

/** The environment entry `NAME=value` that marks what belongs to these folders. */
export function markerOf(folders: Pick<KernelFolders, 'root'>): string {
  return `${markerName}=${folders.root}`;
}

/** Creates the folders under `parent` (default the system's temporary folder); disposing removes them. */
export async function createKernelFolders(parent = tmpdir()): Promise<KernelFolders> {
  await mkdir(parent, { recursive: true });
  const root = await mkdtemp(join(parent, `${prefix}${process.pid}-`));
  const folders = {
    runtime: join(root, 'runtime'),
    home: join(root, 'home'),
    temp: join(root, 'temp'),
    work: join(root, 'work'),
  };
  await Promise.all(Object.values(folders).map((path) => mkdir(path, { mode: 0o700 })));
  return {
    root,
    ...folders,
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 }),
  };
}

/**
 * Removes what runners left behind that were killed: kernel processes and folders under `parent` whose owner is gone.
 * Gives how many folders went. Call at the start of a process that runs notebooks.
 */
export async function reapKernels(parent = tmpdir()): Promise<number> {
  const names = await readdir(parent).catch(() => []);
  let count = 0;
  for (const name of names) {
    const owner = name.startsWith(prefix) ? /^(\d+)-/.exec(name.slice(prefix.length))?.[1] : undefined;
    if (owner === undefined || isAlive(Number(owner))) continue;
    const root = join(parent, name);
    await killMarked(markerOf({ root }));
    await rm(root, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 });
    count++;
  }
  return count;
}

/** True when the process exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
