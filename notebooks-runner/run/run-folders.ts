import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Private folders (0700) of one run. */
export interface RunFolders extends AsyncDisposable {
  /** Holds the connection file. */
  readonly runtime: string;
  readonly home: string;
  readonly temp: string;
  /** Working directory for runs that name none. */
  readonly work: string;
}

/** Creates the folders under `parent` (default the system's temporary folder); disposing removes them. */
export async function createRunFolders(parent = tmpdir()): Promise<RunFolders> {
  await mkdir(parent, { recursive: true });
  const root = await mkdtemp(join(parent, 'showrunner-kernel-'));
  const folders = {
    runtime: join(root, 'runtime'),
    home: join(root, 'home'),
    temp: join(root, 'temp'),
    work: join(root, 'work'),
  };
  for (const path of Object.values(folders)) await mkdir(path, { mode: 0o700 });
  return {
    ...folders,
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 }),
  };
}
