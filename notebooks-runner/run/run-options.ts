import type { Clock } from '../../server/core/clock.ts';
import type { Logger } from '../../server/core/log.ts';
import type { KernelPool } from '../kernel/kernel-pool.ts';
import type { KernelSearch } from '../kernel/kernelspec.ts';
import type { RunEvent } from './run-record.ts';
import type { SecretProvider } from './secrets.ts';
import type { CellSelection } from './select-cells.ts';

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
  readonly cwd?: string | undefined;
  /** Puts files into the kernel's working directory before the first cell runs. */
  readonly fillCwd?: ((dir: string) => Promise<void>) | undefined;
  /**
   * Takes files out of it after the last cell of a run that succeeded or failed, before it may be removed; `redact`
   * takes secrets out of a text, e.g. a file's name.
   */
  readonly takeFiles?: ((dir: string, redact: (text: string) => string) => Promise<void>) | undefined;
  /** Variables added to the kernel's environment, which else holds only an allow-list of `hostEnv`. */
  readonly env?: Readonly<Record<string, string>>;
  /** The host's environment, for PATH and locale. Default empty, with a standard PATH. */
  readonly hostEnv?: Readonly<Record<string, string | undefined>>;
  /** Folder for the kernel's private files. Default the system's temporary folder. */
  readonly runtimeDir?: string | undefined;
  /** Default 60,000. */
  readonly startTimeoutMs?: number;
  /** Per cell, unless it sets its own (tag `timeout:90s`, metadata). Default none. */
  readonly cellTimeoutMs?: number | undefined;
  /** How long a cell may run without any output. Default none. */
  readonly idleTimeoutMs?: number | undefined;
  /** For all cells together, from the kernel's start. Default none. */
  readonly runTimeoutMs?: number | undefined;
  /** How long an interrupted cell may take to stop before the kernel is killed. Default 1,000. */
  readonly interruptGraceMs?: number;
  /** How long a kernel may take to end by itself after the run before it is killed. Default 5,000. */
  readonly exitGraceMs?: number | undefined;
  /** Least time between two saves of the output during the run; Infinity = only at its end. Default 2,000. */
  readonly saveIntervalMs?: number;
  readonly limits?: RunLimits;
  /** Kernels that were started ahead. Default: a kernel is started for this run. */
  readonly pool?: Pick<KernelPool, 'claim'> | undefined;
  /** Whose turn in the pool this run takes. */
  readonly owner?: string | undefined;
  /** What `{"$secret": "NAME"}` parameters refer to. Default: every reference is refused. */
  readonly secrets?: SecretProvider | undefined;
  /** Default: all cells run. */
  readonly select?: CellSelection | undefined;
  /**
   * Output notebook of an earlier run of the same source that did not succeed. All cells run again in a fresh kernel,
   * since state cannot be kept; those that had succeeded are compared with what they showed, and those tagged
   * `run-once` keep their output and are not run. Without `parameters` the earlier ones are used.
   */
  readonly resumeFrom?: string | undefined;
  /** Hides the source of code cells in the output. Default false. */
  readonly isReport?: boolean | undefined;
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
  /** What the kernel may write to its private folders, and largest file anywhere. Default 16 GiB. */
  readonly maxDiskBytes?: number;
  /** Open files per process. Default 4,096. */
  readonly maxOpenFiles?: number;
  /** Processor time per process, in seconds. Default 0 = none. */
  readonly maxCpuSeconds?: number;
  /** Address space per process; not for Deno. Default 0 = none. */
  readonly maxAddressSpaceBytes?: number;
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
    maxDiskBytes: limits.maxDiskBytes ?? 16_384 * mebibyte,
    maxOpenFiles: limits.maxOpenFiles ?? 4_096,
    maxCpuSeconds: limits.maxCpuSeconds ?? 0,
    maxAddressSpaceBytes: limits.maxAddressSpaceBytes ?? 0,
    heartbeatTimeoutMs: limits.heartbeatTimeoutMs ?? 60_000,
  };
}
