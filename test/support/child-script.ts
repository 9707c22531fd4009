import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface ChildScript extends AsyncDisposable {
  readonly process: ChildProcess;
  /** Lines of standard output so far. */
  readonly lines: readonly string[];
  /** Standard error so far. */
  errors(): string;
  /** Resolves with the exit code, or the signal's name, once the process is gone and its output was read. */
  readonly ended: Promise<number | string>;
  /** SIGKILL, and waits until it is gone. Fine to call on an ended process. */
  kill(): Promise<void>;
}

/** Runs a TypeScript file with this Node in a process of its own; `wrapper` goes before it, e.g. `['prlimit', '--fsize=1']`. */
export function startChildScript(file: URL, args: readonly string[], wrapper: readonly string[] = []): ChildScript {
  const script = [process.execPath, '--disable-warning=ExperimentalWarning', file.pathname, ...args];
  return startCommand([...wrapper, ...script]);
}

/** Runs a program without standard input; `env` is its whole environment, by default this process's. */
export function startCommand(command: readonly string[], env: NodeJS.ProcessEnv = process.env): ChildScript {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let errors = '';
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  const ended = once(child, 'close').then(([code, signal]) => (code as number | null) ?? String(signal));
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return {
    process: child,
    lines,
    errors: () => errors,
    ended,
    kill,
    [Symbol.asyncDispose]: kill,
  };
}
