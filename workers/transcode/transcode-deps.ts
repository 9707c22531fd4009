import type { Logger } from '../../server/core/log.ts';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import type { JobContext } from '../queue/job-kind.ts';
import { type FfmpegBinaries, resolveFfmpeg } from './ffmpeg/ffmpeg-binaries.ts';
import { defaultLimits, type FfmpegRuntime } from './ffmpeg/run-ffmpeg.ts';
import type { ProcessLimits } from './ffmpeg/run-process.ts';
import type { SourceLimits } from './source/source-probe.ts';

/** What every transcode kind works with. */
export interface TranscodeDeps {
  readonly objects: ObjectStore;
  readonly log: Logger;
  /** SHOWRUNNER_FFMPEG; undefined = search path, then npm packages. */
  readonly ffmpegPath?: string | undefined;
  /** SHOWRUNNER_FFPROBE; undefined = beside ffmpeg, then the search path. */
  readonly ffprobePath?: string | undefined;
  /** PATH-like list of folders. Default: this process's PATH. */
  readonly searchPath?: string | undefined;
  /** Paths of builds that score where the encoding one lacks the metric. Default: those of npm packages. */
  readonly scoringFfmpegs?: readonly string[] | undefined;
  /** Largest source. Default 1 TiB, 8192 x 8192, 12 h. */
  readonly sourceLimits?: SourceLimits | undefined;
  /** Bounds of each process. Default 4 GiB of address space, 64 GiB a file. */
  readonly processLimits?: ProcessLimits | undefined;
}

/** ffmpeg of this worker: found and checked. Errors as resolveFfmpeg. */
export function binariesFor({ ffmpegPath, ffprobePath, ...deps }: TranscodeDeps): Promise<FfmpegBinaries> {
  return resolveFfmpeg({ ffmpegPath, ffprobePath, searchPath: searchPathOf(deps) });
}

function searchPathOf({ searchPath }: Pick<TranscodeDeps, 'searchPath'>): string {
  return searchPath ?? process.env['PATH'] ?? '';
}

/** ffmpeg for one job: found, checked, bound to the job's folder and abort signal. Errors as resolveFfmpeg. */
export async function runtimeFor(deps: TranscodeDeps, context: JobContext): Promise<FfmpegRuntime> {
  return {
    binaries: await binariesFor(deps),
    searchPath: searchPathOf(deps),
    limits: deps.processLimits ?? defaultLimits,
    clock: context.clock,
    signal: context.signal,
    cwd: context.workDir,
  };
}
