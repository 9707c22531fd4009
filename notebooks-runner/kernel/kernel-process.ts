import { spawn } from 'node:child_process';

/** How a kernel process ended. */
export interface KernelExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One kernel process and everything in its process group. */
export interface KernelProcess {
  readonly pid: number;
  /** Resolves when the process has ended; never rejects. */
  readonly exited: Promise<KernelExit>;
  hasExited(): boolean;
  /** The last lines, up to 8 KiB, that the process wrote to its own stdout and stderr, which are no notebook output. */
  logTail(): string;
  /** Signals the whole group; false when nobody is left. */
  signalGroup(signal: NodeJS.Signals): boolean;
}

interface SpawnOptions {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Command that sets limits and then becomes the kernel, see `processPrefix`. Default none. */
  readonly prefix?: readonly string[];
}

const tailBytes = 8_192;

/** Starts a kernel as the leader of its own process group. */
export function spawnKernel({ argv, cwd, env, prefix = [] }: SpawnOptions): KernelProcess {
  const [command = '', ...args] = [...prefix, ...argv];
  const child = spawn(command, args, { cwd, env: { ...env }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const { promise: exited, resolve } = Promise.withResolvers<KernelExit>();
  let tail = '';
  const keepTail = (chunk: string) => {
    // One more than is shown, so that it shows whether something was cut off.
    tail = (tail + chunk).slice(-tailBytes - 1);
  };
  child.stdout.setEncoding('utf8').on('data', keepTail);
  child.stderr.setEncoding('utf8').on('data', keepTail);
  let exit: KernelExit | undefined;
  // After the end the pid may belong to somebody else.
  const signalGroup = (signal: NodeJS.Signals) => exit === undefined && signalProcessGroup(child.pid, signal);
  const finish = (how: KernelExit) => {
    if (exit !== undefined) return;
    // Children of the kernel would live on, and hold its output pipes open.
    signalGroup('SIGKILL');
    exit = how;
    resolve(how);
  };
  child.once('exit', (code, signal) => finish({ code, signal }));
  child.once('error', (error) => {
    keepTail(error.message);
    finish({ code: 127, signal: null });
  });
  return {
    pid: child.pid ?? 0,
    exited,
    hasExited: () => exit !== undefined,
    logTail: () => lastLines(tail, tailBytes).trim(),
    signalGroup,
  };
}

/** The end of a text, in whole lines: half of one may begin amid a secret, which nobody would find then. */
export function lastLines(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const end = text.slice(-maxLength);
  const start = end.indexOf('\n');
  return start < 0 ? '' : end.slice(start + 1);
}

function signalProcessGroup(pid: number | undefined, signal: NodeJS.Signals): boolean {
  if (pid === undefined) return false;
  try {
    return process.kill(-pid, signal);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ESRCH' || error.code === 'EPERM')) return false;
    throw error;
  }
}
