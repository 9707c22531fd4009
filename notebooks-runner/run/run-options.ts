import type { Clock } from '../../server/core/clock.ts';
import type { Logger } from '../../server/core/log.ts';
import type { KernelSearch } from '../kernel/kernelspec.ts';
import type { RunEvent } from './run-record.ts';

/** What to run, with what, and within which bounds. Times in ms, sizes in bytes. */
export interface RunNotebookOptions {
  /** The source file, never written. Exactly one of `inputPath` and `notebook` is given. */
  readonly inputPath?: string;
  /** A parsed nbformat 4 document; not changed. */
  readonly notebook?: unknown;
  /** Where the output notebook goes; its folder is created. Without it the record alone carries the output. */
  readonly outputPath?: string | undefined;
  /** What the output's metadata says in place of the paths, e.g. object keys. */
  readonly labels?: { readonly input: string; readonly output: string };
  /** Name → null, boolean, number (also NaN, ±Infinity), bigint, string, list or plain object. Default none. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Default: what the notebook names, else the shipped kernel of its language. */
  readonly kernelName?: string | undefined;
  readonly kernels?: KernelSearch;
  /** Working directory of the kernel. Default: a private empty folder that is removed after the run. */
  readonly cwd?: string;
  /** Variables added to the kernel's environment, which else holds only an allow-list of `hostEnv`. */
  readonly env?: Readonly<Record<string, string>>;
  /** The host's environment, for PATH and locale. Default empty, with a standard PATH. */
  readonly hostEnv?: Readonly<Record<string, string | undefined>>;
  /** Folder for the kernel's private files. Default the system's temporary folder. */
  readonly runtimeDir?: string;
  /** Default 60,000. */
  readonly startTimeoutMs?: number;
  /** Per cell. Default none. */
  readonly cellTimeoutMs?: number | undefined;
  /** For all cells together, from the kernel's start. Default none. */
  readonly runTimeoutMs?: number | undefined;
  /** How long an interrupted cell may take to stop before the kernel is killed. Default 1,000. */
  readonly interruptGraceMs?: number;
  /** Least time between two saves of the output during the run. Default 2,000. */
  readonly saveIntervalMs?: number;
  readonly limits?: RunLimits;
  /** Aborting cancels the run: the kernel group is ended and the record says `cancelled`. */
  readonly signal?: AbortSignal;
  /** Called in order; must not block. What it throws is logged and ignored. */
  readonly onEvent?: (event: RunEvent) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Bounds of one run, in bytes unless named otherwise. */
export interface RunLimits {
  /** Default 64 MiB. */
  readonly maxSourceBytes?: number;
  /** Kept output per cell. Default 16 MiB. */
  readonly maxCellOutputBytes?: number;
  /** Kept output per run. Default 64 MiB. */
  readonly maxRunOutputBytes?: number;
  /** Resident memory of the kernel with its children. Default 4 GiB. */
  readonly maxMemoryBytes?: number;
  /** How long the kernel may leave a heartbeat unanswered, in ms. Default 60,000. */
  readonly heartbeatTimeoutMs?: number;
}

const mebibyte = 1_048_576;

/** All limits, with the defaults filled in. */
export function withDefaultLimits(limits: RunLimits = {}): Required<RunLimits> {
  return {
    maxSourceBytes: limits.maxSourceBytes ?? 64 * mebibyte,
    maxCellOutputBytes: limits.maxCellOutputBytes ?? 16 * mebibyte,
    maxRunOutputBytes: limits.maxRunOutputBytes ?? 64 * mebibyte,
    maxMemoryBytes: limits.maxMemoryBytes ?? 4_096 * mebibyte,
    heartbeatTimeoutMs: limits.heartbeatTimeoutMs ?? 60_000,
  };
}
