import { type KernelFolders, markerOf } from './kernel-folders.ts';

/** Variables that a kernel takes over from the host: where programs are and how text is written, nothing else. */
const inherited = ['PATH', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ', 'SYSTEMROOT'] as const;

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The whole environment of a kernel: an allow-list of the host's, private folders, the kernelspec's own variables
 * (`${NAME}` stands for a host variable of the allow-list) and what the caller adds, which wins.
 */
export function kernelEnvironment(
  host: Readonly<Record<string, string | undefined>>,
  folders: Pick<KernelFolders, 'root' | 'home' | 'temp'>,
  spec: Readonly<Record<string, string>>,
  added: Readonly<Record<string, string>>,
): Record<string, string> {
  const base: Record<string, string> = { PATH: defaultPath };
  for (const name of inherited) {
    const value = host[name];
    if (value !== undefined) base[name] = value;
  }
  const expand = (text: string) => text.replace(/\$\{(\w+)\}/g, (_whole, name: string) => base[name] ?? '');
  const [markerName = '', marker = ''] = markerOf(folders).split(/=(.*)/s);
  return {
    ...base,
    [markerName]: marker,
    HOME: folders.home,
    TMPDIR: folders.temp,
    XDG_CACHE_HOME: `${folders.home}/.cache`,
    DENO_DIR: `${folders.home}/.cache/deno`,
    IPYTHONDIR: `${folders.home}/.ipython`,
    JUPYTER_RUNTIME_DIR: folders.temp,
    NO_COLOR: '1',
    JPY_PARENT_PID: String(process.pid),
    ...Object.fromEntries(Object.entries(spec).map(([name, value]) => [name, expand(value)])),
    ...added,
  };
}
