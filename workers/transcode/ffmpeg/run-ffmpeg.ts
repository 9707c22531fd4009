import type { Clock } from '../../../server/core/clock.ts';
import type { FfmpegBinaries } from './ffmpeg-binaries.ts';
import { createProgressParser, type FfmpegProgress } from './ffmpeg-progress.ts';
import { type ProcessEnd, type ProcessLimits, runProcess } from './run-process.ts';

/** What every run of ffmpeg or ffprobe of one job shares. */
export interface FfmpegRuntime {
  readonly binaries: FfmpegBinaries;
  readonly searchPath: string;
  readonly limits: ProcessLimits;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Working folder of the processes. */
  readonly cwd: string;
}

interface RunFfmpegOptions {
  readonly args: readonly string[];
  readonly timeoutMs: number;
  /** Killed when neither a frame, nor a byte, nor output time came for this long. Default 60 s. */
  readonly noProgressMs?: number;
  readonly onProgress?: (progress: FfmpegProgress) => void;
}

/** 4 GiB of address space and 64 GiB a file: far above a good 4K encode, far below the end of a machine. */
export const defaultLimits: ProcessLimits = { maxMemoryBytes: 4 * 1024 ** 3, maxFileBytes: 64 * 1024 ** 3 };

/**
 * Runs ffmpeg with progress on a pipe and only errors on standard error, each with its level in front.
 * The exit code proves little (0 for half a file): judge error lines and output too. Errors as runProcess.
 */
export function runFfmpeg(runtime: FfmpegRuntime, options: RunFfmpegOptions): Promise<ProcessEnd> {
  const parser = createProgressParser(options.onProgress ?? (() => {}));
  const fixed = ['-nostdin', '-hide_banner', '-y', '-loglevel', 'repeat+level+error', '-progress', 'pipe:1'];
  return runProcess({
    ...runtime,
    program: runtime.binaries.ffmpeg,
    args: [...fixed, '-stats_period', '0.25', ...options.args],
    timeoutMs: options.timeoutMs,
    noProgressMs: options.noProgressMs ?? 60_000,
    onStdout: (chunk) => parser.push(chunk),
  });
}

/** Runs ffprobe; standard output goes to `onStdout` as it comes. Errors as runProcess. */
export function runFfprobe(
  runtime: FfmpegRuntime,
  args: readonly string[],
  onStdout: (chunk: Buffer) => void,
): Promise<ProcessEnd> {
  return runProcess({
    ...runtime,
    program: runtime.binaries.ffprobe,
    args: ['-hide_banner', '-loglevel', 'repeat+level+error', ...args],
    timeoutMs: 1_800_000,
    noProgressMs: 60_000,
    onStdout: (chunk) => {
      onStdout(chunk);
      return true;
    },
  });
}
