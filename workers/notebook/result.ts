import type { RunRecord } from '../../notebooks-runner/run/run-record.ts';
import type { Json } from '../queue/job-kind.ts';
import type { SideFile, SideFiles } from './side-files.ts';

/** Result of a `notebook` job that succeeded. */
export type NotebookResult = {
  /** Object key of the output notebook. */
  readonly outputKey: string;
  readonly status: string;
  /** Code cells in order. */
  readonly cells: readonly NotebookResultCell[];
  /** Values that the notebook handed out, by name. */
  readonly scraps: { readonly [name: string]: Json };
  /** Names of scraps that were too large for a job result; they are in the output notebook. */
  readonly omittedScraps: readonly string[];
  /** What ran it, as it told itself. */
  readonly kernel: NotebookKernel;
  /** What the notebook wrote into its working directory. */
  readonly files: readonly SideFile[];
  /** Files that were too many, too large or oddly named. */
  readonly omittedFiles: number;
  readonly durationMs: number;
  /** Lower-case hex of the source notebook. */
  readonly sourceSha256: string;
};

type NotebookKernel = {
  readonly name: string;
  readonly implementation: string;
  readonly version: string;
  /** Highest resident memory seen, with its children. */
  readonly peakMemoryBytes: number;
  /** True when it was started ahead of the run. */
  readonly isPrewarmed: boolean;
};

type NotebookResultCell = {
  readonly index: number;
  readonly id: string;
  readonly status: string;
  readonly durationMs: number | null;
};

/** Job results are kept in the queue: larger values belong into objects. */
const maxScrapBytes = 262_144;
const maxOmittedBytes = 16_384;

/** The job result of a run. */
export function resultOf(record: RunRecord, outputKey: string, sideFiles: SideFiles): NotebookResult {
  const { status, durationMs, sourceSha256 } = record;
  const { kept, omitted } = boundedScraps(record.scraps);
  const cells = record.cells.map((cell) => ({
    index: cell.index,
    id: cell.id,
    status: cell.status,
    durationMs: cell.durationMs ?? null,
  }));
  const { name, implementation, version, peakMemoryBytes, isPrewarmed } = record.kernel;
  return {
    outputKey,
    status,
    cells,
    // Defines properties, so that a scrap may have any name.
    scraps: Object.fromEntries(kept),
    omittedScraps: omitted,
    kernel: { name, implementation, version, peakMemoryBytes, isPrewarmed },
    files: sideFiles.files,
    omittedFiles: sideFiles.omitted,
    durationMs,
    sourceSha256,
  };
}

/** The scraps that fit, and names of those that do not: of endless ones not even all names. */
function boundedScraps(scraps: RunRecord['scraps']) {
  const kept: [name: string, data: Json][] = [];
  const omitted: string[] = [];
  let [keptBytes, omittedBytes] = [0, 0];
  for (const [name, { data }] of Object.entries(scraps)) {
    const nameBytes = Buffer.byteLength(name) + 4;
    const bytes = nameBytes + Buffer.byteLength(JSON.stringify(data));
    if (keptBytes + bytes <= maxScrapBytes) {
      keptBytes += bytes;
      kept.push([name, data]);
    } else if (omittedBytes + nameBytes <= maxOmittedBytes) {
      omittedBytes += nameBytes;
      omitted.push(name);
    }
  }
  return { kept, omitted };
}
