import { access, constants, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { kernelMissing, kernelspecInvalid } from '../errors.ts';
import { isJsonObject, type JsonObject } from '../nbformat/json-value.ts';
import { findDeno } from './deno-binary.ts';

/** How to start a kernel. Source: https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs */
export interface Kernelspec {
  readonly name: string;
  readonly displayName: string;
  /** e.g. `typescript`, `python`. */
  readonly language: string;
  /** Command; `{connection_file}` stands for the path of the connection file. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly interruptMode: 'signal' | 'message';
  /** `deno` publishes output after the reply, under the next request: a barrier is needed after every cell. */
  readonly dialect: 'deno' | 'standard';
}

/** Where kernels are looked for. */
export interface KernelSearch {
  /** Path of deno; empty = the one in the npm package. */
  readonly deno?: string | undefined;
  /** Folders that hold one folder per kernel, first wins. Default none; see `jupyterKernelDirs`. */
  readonly dirs?: readonly string[];
}

const namePattern = /^[A-Za-z0-9._-]{1,128}$/;

/**
 * The kernelspec of that name (any case). `deno` is always ours: the one that Deno installs lacks the interrupt mode
 * without which an interrupt ends the kernel. Throws KERNEL_MISSING or KERNELSPEC_INVALID.
 */
export async function findKernelspec(name: string, search: KernelSearch = {}): Promise<Kernelspec> {
  const key = name.toLowerCase();
  if (key === 'deno') return denoKernelspec(findDeno(search.deno));
  if (namePattern.test(name) && !/^\.+$/.test(name)) {
    for (const dir of search.dirs ?? []) {
      const path = join(dir, await folderNamed(dir, key), 'kernel.json');
      const text = await readIfThere(path);
      if (text !== undefined)
        return unattended(await withOwnPython(located(parseKernelspec(key, path, text), path), dir));
    }
  }
  const where = search.dirs?.length ? `looked in ${search.dirs.join(', ')}` : 'no kernel folder is configured';
  throw kernelMissing(
    name,
    `${where}; install it (for Python: pip install ipykernel) or use the shipped kernel "deno"`,
  );
}

/** The kernelspec that we ship: TypeScript on Deno. */
function denoKernelspec(binary: string): Kernelspec {
  return {
    name: 'deno',
    displayName: 'Deno',
    language: 'typescript',
    argv: [binary, 'jupyter', '--kernel', '--conn', '{connection_file}'],
    env: { NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1', DENO_NO_PROMPT: '1' },
    interruptMode: 'message',
    dialect: 'deno',
  };
}

/**
 * Ipykernel as a run that nobody looks at needs it: without its database of inputs, which would go with the run's home,
 * and without its debugger, whose load takes a third of the start. A notebook may still load that, see `Kernel.prepare`.
 */
function unattended(spec: Kernelspec): Kernelspec {
  const at = spec.argv.findIndex((part) => part === 'ipykernel_launcher' || part === 'ipykernel');
  if (at < 1 || spec.argv[at - 1] !== '-m') return spec;
  const argv = [...spec.argv.slice(0, at - 1), '-c', launchIpykernel, ...spec.argv.slice(at + 1), noHistory];
  return { ...spec, argv };
}

const noHistory = '--HistoryManager.hist_file=:memory:';
/** What its own launcher does: nothing is loaded from the working directory before the first cell. */
const launchIpykernel = [
  'import sys',
  'sys.path = [path for path in sys.path if path]',
  'sys.modules["debugpy"] = None',
  'from ipykernel import kernelapp',
  'kernelapp.launch_new_instance()',
].join('; ');

/** The folder of that name in any case; the name itself where there is none. */
async function folderNamed(dir: string, key: string): Promise<string> {
  const names = await readdir(dir).catch(() => []);
  return names.find((name) => name.toLowerCase() === key) ?? key;
}

/** What Jupyter puts in place of these: the folder of kernel.json, and the environment that it is installed in. */
function located(spec: Kernelspec, path: string): Kernelspec {
  const folder = dirname(path);
  const prefix = join(folder, '..', '..', '..', '..');
  const argv = spec.argv.map((part) => part.replaceAll('{resource_dir}', folder).replaceAll('{prefix}', prefix));
  return { ...spec, argv };
}

/** A bare `python` means the interpreter of the environment in which the kernelspec is installed. */
async function withOwnPython(spec: Kernelspec, dir: string): Promise<Kernelspec> {
  const [program = '', ...rest] = spec.argv;
  if (!/^python[\d.]*$/.test(program)) return spec;
  const own = join(dir, '..', '..', '..', 'bin', program);
  try {
    await access(own, constants.X_OK);
    return { ...spec, argv: [own, ...rest] };
  } catch {
    return spec;
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw kernelspecInvalid(path, `cannot be read (${String(code)})`);
  }
}

function parseKernelspec(name: string, path: string, text: string): Kernelspec {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw kernelspecInvalid(path, 'is not valid JSON');
  }
  if (!isJsonObject(value)) throw kernelspecInvalid(path, 'must be an object');
  const {
    argv,
    display_name: displayName,
    language,
    interrupt_mode: mode,
  } = value as Readonly<Record<string, unknown>>;
  if (!Array.isArray(argv) || argv.length === 0 || argv.some((part) => typeof part !== 'string')) {
    throw kernelspecInvalid(path, 'argv must be a list of strings');
  }
  if (typeof language !== 'string') throw kernelspecInvalid(path, 'language must be a string');
  return {
    name,
    displayName: typeof displayName === 'string' ? displayName : name,
    language: language.toLowerCase(),
    argv: argv.map(String),
    env: textEntries(value['env']),
    interruptMode: mode === 'message' ? 'message' : 'signal',
    dialect: 'standard',
  };
}

function textEntries(value: JsonObject[string] | undefined): Record<string, string> {
  if (!isJsonObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
