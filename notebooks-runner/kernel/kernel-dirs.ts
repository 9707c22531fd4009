import { delimiter, join } from 'node:path';

/**
 * Folders in which Jupyter looks for kernels, first wins: JUPYTER_PATH, the user's data folder, the active Python
 * environment, the system. `env` is the environment to read; nothing is checked on disk.
 * Source: https://docs.jupyter.org/en/latest/use/jupyter-directories.html
 */
export function jupyterKernelDirs(
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform = process.platform,
): string[] {
  const { JUPYTER_PATH, JUPYTER_DATA_DIR, XDG_DATA_HOME, HOME, VIRTUAL_ENV, CONDA_PREFIX } = env;
  const userData = JUPYTER_DATA_DIR ?? defaultUserData(HOME, XDG_DATA_HOME, platform);
  const prefixes = [VIRTUAL_ENV, CONDA_PREFIX, '/usr/local', '/usr'].filter((prefix) => prefix !== undefined);
  const roots = [
    ...(JUPYTER_PATH?.split(delimiter) ?? []),
    ...(userData === undefined ? [] : [userData]),
    ...prefixes.map((prefix) => join(prefix, 'share', 'jupyter')),
  ];
  return [...new Set(roots.filter((root) => root !== '').map((root) => join(root, 'kernels')))];
}

function defaultUserData(
  home: string | undefined,
  dataHome: string | undefined,
  platform: NodeJS.Platform,
): string | undefined {
  if (home === undefined) return undefined;
  if (platform === 'darwin') return join(home, 'Library', 'Jupyter');
  return join(dataHome ?? join(home, '.local', 'share'), 'jupyter');
}
