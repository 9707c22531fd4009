import { execFile } from 'node:child_process';
import { access, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/** A Python with ipykernel, nbclient, nbformat, papermill and ipywidgets of its own. */
export interface NotebooksPython {
  readonly python: string;
  /** Folder of its kernelspecs, where `python3` is found. */
  readonly kernelsDir: string;
}

const run = promisify(execFile);
const packages = ['ipykernel', 'nbclient', 'nbformat', 'papermill', 'ipywidgets'];
const folder = join(import.meta.dirname, '..', 'node_modules', '.cache', 'notebooks-python');
const installMs = 180_000;

let opened: Promise<NotebooksPython | string> | undefined;

/**
 * The Python environment of tests and benches of notebooks, below node_modules/.cache, made on the first call.
 * Gives the reason as text where it cannot be had (no python3, no package index): callers skip then.
 */
export function openNotebooksPython(): Promise<NotebooksPython | string> {
  opened ??= open();
  return opened;
}

async function open(): Promise<NotebooksPython | string> {
  const python = join(folder, 'bin', 'python');
  const done = join(folder, 'installed');
  const found = { python, kernelsDir: join(folder, 'share', 'jupyter', 'kernels') };
  const isDone = () =>
    access(done).then(
      () => true,
      () => false,
    );
  if (await isDone()) return found;
  const lock = `${folder}.lock`;
  await mkdir(join(folder, '..'), { recursive: true });
  for (const endMs = Date.now() + installMs; !(await takeLock(lock)); ) {
    if (Date.now() > endMs) return 'another process is installing it for too long';
    await sleep(200);
    if (await isDone()) return found;
  }
  try {
    if (await isDone()) return found;
    await run('python3', ['-m', 'venv', folder], { timeout: installMs });
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--retries', '1', '--timeout', '15'];
    await run(python, [...pip, ...packages], { timeout: installMs });
    await writeFile(done, packages.join('\n'));
    return found;
  } catch (error) {
    return `no Python with ${packages.join(', ')}: ${lastLine(error)}`;
  } finally {
    await rm(lock, { recursive: true, force: true });
  }
}

/** A lock that is older than any installation is abandoned. */
async function takeLock(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch {
    const ageMs =
      Date.now() -
      (await stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => Date.now(),
      ));
    if (ageMs > installMs) await rm(path, { recursive: true, force: true });
    return false;
  }
}

function lastLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split('\n').at(-1) ?? '';
}
