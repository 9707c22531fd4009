import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock } from '../../../server/core/clock.ts';
import { diskFull, ffmpegMissing, ffmpegStalled, ffmpegTimedOut, outputTooLarge } from '../errors.ts';
import { findProgram } from './find-program.ts';
import { createOutputTail } from './output-tail.ts';
import { processCpuSeconds } from './process-cpu.ts';

/** What a process may take; the system enforces it where it has prlimit. */
export interface ProcessLimits {
  /** Address space, in bytes. */
  readonly maxMemoryBytes: number;
  /** Size of any one file it writes, in bytes. */
  readonly maxFileBytes: number;
}

/** One run of a program. */
export interface RunProcessOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Killed after this long, in ms. */
  readonly timeoutMs: number;
  /** Killed when `onStdout` did not report progress for this long, in ms. */
  readonly noProgressMs: number;
  readonly limits: ProcessLimits;
  /** Folders searched for `setpriv` and `prlimit`; where they are missing their guard is left out. */
  readonly searchPath: string;
  /** Gets standard output as it comes; true = the process got on. */
  readonly onStdout?: (chunk: Buffer) => boolean;
  /** Bound of kept standard error, in bytes. Default 64 KiB. */
  readonly maxStderrBytes?: number;
}

/** How a process ended by itself. */
export interface ProcessEnd {
  readonly exitCode: number;
  /** Lines of standard error, the first and the last within the bound. */
  readonly errorLines: readonly string[];
  readonly droppedStderrBytes: number;
  /** Processor time of the process, as of its last output: at most a report's interval short. 0 where unknown. */
  readonly cpuSeconds: number;
}

/** Dies with its parent and stays within its limits (Linux: setpriv, prlimit of util-linux). */
function guarded(options: RunProcessOptions): [string, ...string[]] {
  const setpriv = findProgram('setpriv', options.searchPath);
  const prlimit = findProgram('prlimit', options.searchPath);
  const { maxMemoryBytes, maxFileBytes } = options.limits;
  const line = [
    ...(setpriv ? [setpriv, '--pdeathsig', 'KILL', '--'] : []),
    ...(prlimit
      ? [prlimit, `--as=${maxMemoryBytes}`, `--fsize=${maxFileBytes}`, '--core=0', '--nofile=256', '--']
      : []),
    options.program,
  ];
  const [first = options.program, ...rest] = line;
  return [first, ...rest, ...options.args];
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

function start(options: RunProcessOptions): ChildProcess {
  const [command, ...args] = guarded(options);
  return spawn(command, args, {
    cwd: options.cwd,
    // Nothing of the worker's environment (keys, proxies, library paths) reaches a program that reads foreign bytes.
    // SVT_LOG: SVT-AV1 prints its settings on standard error, where only errors are awaited.
    env: { PATH: options.searchPath, LC_ALL: 'C', TMPDIR: options.cwd, AV_LOG_FORCE_NOCOLOR: '1', SVT_LOG: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    shell: false,
  });
}

/**
 * Runs a program in its own process group, without a shell, with a scrubbed environment, and waits for its end.
 * The whole group is killed on abort, on timeout and when it makes no progress. A bad exit code is not an error here:
 * the caller judges it with the error lines.
 * Throws the signal's reason when aborted; AppError FFMPEG_MISSING, FFMPEG_STALLED, FFMPEG_TIMEOUT, OUTPUT_TOO_LARGE,
 * DISK_FULL.
 */
export async function runProcess(options: RunProcessOptions): Promise<ProcessEnd> {
  options.signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number | null; signal: string | null }>();
  const child = start(options);
  const tail = createOutputTail(options.maxStderrBytes ?? 65_536);
  let failure: unknown;
  let cpuSeconds = 0;
  const stop = (reason: unknown) => {
    failure ??= reason;
    killGroup(child);
  };
  const onAbort = () => stop(options.signal.reason);
  options.signal.addEventListener('abort', onAbort, { once: true });
  const watch = () =>
    options.clock.schedule(options.noProgressMs, () => stop(ffmpegStalled(options.program, options.noProgressMs)));
  let unwatch = watch();
  const unlimit = options.clock.schedule(options.timeoutMs, () =>
    stop(ffmpegTimedOut(options.program, options.timeoutMs)),
  );
  child.stderr?.on('data', (chunk: Buffer) => tail.push(chunk));
  child.stdout?.on('data', (chunk: Buffer) => {
    cpuSeconds = processCpuSeconds(child.pid) ?? cpuSeconds;
    if (!options.onStdout?.(chunk)) return;
    unwatch();
    unwatch = watch();
  });
  child.once('error', reject);
  child.once('close', (code, signal) => resolve({ code, signal }));
  try {
    const end = await promise;
    if (failure !== undefined) throw failure;
    return { ...judged(options, end, tail.lines()), droppedStderrBytes: tail.droppedBytes, cpuSeconds };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw ffmpegMissing('ffmpeg', [options.program]);
  } finally {
    options.signal.removeEventListener('abort', onAbort);
    unwatch();
    unlimit();
  }
}

/** A guard that could not start the program. */
const guardFailed = /^(?:setpriv|prlimit): failed to execute/;

function judged(
  options: RunProcessOptions,
  end: { code: number | null; signal: string | null },
  errorLines: string[],
): Pick<ProcessEnd, 'exitCode' | 'errorLines'> {
  if (end.signal === 'SIGXFSZ') throw outputTooLarge(options.program, options.limits.maxFileBytes);
  if (errorLines.some((line) => line.includes('No space left on device'))) throw diskFull(options.cwd);
  if (errorLines.some((line) => guardFailed.test(line))) throw ffmpegMissing('ffmpeg', [options.program]);
  if (end.signal !== null) errorLines.push(`killed by ${end.signal}`);
  return { exitCode: end.code ?? 128, errorLines };
}
