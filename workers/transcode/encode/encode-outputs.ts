import type { JobContext } from '../../queue/job-kind.ts';
import { type FfmpegRuntime, runFfmpeg } from '../ffmpeg/run-ffmpeg.ts';
import type { PlannedChunk, TranscodePlan } from '../plan/plan.ts';
import { toNumber } from '../rational.ts';
import { type ChunkOutput, chunkArguments } from './chunk-command.ts';
import { judgeEncode } from './judge-encode.ts';

/** Longest that one process may take. */
export const encodeTimeoutMs = 3_600_000;

/** Everything one ffmpeg process makes of one chunk. */
export interface EncodeWork {
  readonly plan: TranscodePlan;
  readonly chunk: PlannedChunk;
  /** Local path of the source. */
  readonly source: string;
  readonly outputs: readonly ChunkOutput[];
  /** Bytes that no correct output reaches. */
  readonly maxFileBytes: number;
  /** Shown with the progress, e.g. `720p 432p`. */
  readonly label: string;
}

/** What an encode that went well took. */
export interface EncodeCost {
  /** Decoder complaints that only the seek explains. */
  readonly excusedErrors: number;
  /** Of all tries together. */
  readonly cpuSeconds: number;
}

/** Bytes a correct file of a rate cannot reach: the cap over its length and buffer, four times over, and room for boxes. */
export function mostBytes(plan: TranscodePlan, chunk: PlannedChunk, maxrateKbps: number): number {
  const seconds = (chunk.end - chunk.start) / toNumber(plan.rate);
  return Math.ceil(maxrateKbps * (seconds + 1.5) * 125 * 4) + 16 * 1024 ** 2;
}

async function encodeOnce(runtime: FfmpegRuntime, context: JobContext, work: EncodeWork, seek: boolean) {
  const { plan, chunk, label } = work;
  const frames = chunk.end - chunk.start;
  const limits = { ...runtime.limits, maxFileBytes: work.maxFileBytes };
  const end = await runFfmpeg(
    { ...runtime, limits },
    {
      args: chunkArguments(plan, chunk, work.source, work.outputs, seek),
      timeoutMs: encodeTimeoutMs,
      // No frame comes out while frames before the chunk are decoded and thrown away.
      noProgressMs: 60_000 + (seek ? 0 : chunk.start * 50),
      onProgress: ({ frames: done, fps }) =>
        context.progress({
          fraction: Math.min(1, done / frames),
          stage: 'encode',
          detail: {
            frames: done,
            total_frames: frames,
            fps,
            rungs: label,
            ...(fps > 0 ? { eta_seconds: Math.round(Math.max(0, frames - done) / fps) } : {}),
          },
        }),
    },
  );
  const name = `frames ${chunk.start}-${chunk.end - 1}`;
  const indexed = plan.source.demuxer === 'mov' || plan.source.demuxer === 'matroska';
  return { ...judgeEncode(name, end, seek, indexed), cpuSeconds: end.cpuSeconds };
}

/**
 * Encodes with a seek; when the decoder complains of more than a seek explains, once more from the source's start,
 * where only a broken source complains. INVALID_ARGUMENT SOURCE_UNREADABLE; errors of runProcess.
 */
export async function encodeOutputs(
  runtime: FfmpegRuntime,
  context: JobContext,
  work: EncodeWork,
): Promise<EncodeCost> {
  const seek = work.chunk.seekSeconds !== null;
  const first = await encodeOnce(runtime, context, work, seek);
  if (!first.error) return { excusedErrors: first.excused, cpuSeconds: first.cpuSeconds };
  if (!seek) throw first.error;
  context.log.info('encoding again without a seek', { chunk_start: work.chunk.start, cause: first.error.message });
  const second = await encodeOnce(runtime, context, work, false);
  if (second.error) throw second.error;
  return { excusedErrors: 0, cpuSeconds: first.cpuSeconds + second.cpuSeconds };
}
