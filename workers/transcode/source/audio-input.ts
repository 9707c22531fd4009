import { join } from 'node:path';
import { judgeEncode } from '../encode/judge-encode.ts';
import { type FfmpegRuntime, runFfmpeg } from '../ffmpeg/run-ffmpeg.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import type { PlannedAudio } from '../plan/plan-audio.ts';
import { sourceInput } from './probe-streams.ts';
import { clockArguments, titleTime } from './source-clock.ts';

/** Sample rate of every audio track. */
export const audioRateHz = 48_000;

/** Where an audio track is read from. */
export interface AudioInput {
  /** Input options of ffmpeg. */
  readonly arguments: readonly string[];
  /** Filters that take its stream to the title's clock, the stream's pad in front. */
  readonly filters: string;
}

/** A track's stream in the source itself. */
export function sourceAudio(plan: TranscodePlan, { streamIndex }: PlannedAudio, source: string): AudioInput {
  return {
    arguments: [...clockArguments(plan), '-threads', '1', ...sourceInput(plan.source.demuxer, source)],
    filters: `[0:${streamIndex}]asetpts=round(${titleTime(plan, plan.video.startTicks)})`,
  };
}

/** Rate, layout and kind of samples of a track. */
export function audioFormat({ channels }: PlannedAudio): string {
  const layout = channels === 6 ? '5.1' : 'stereo';
  return `aformat=sample_fmts=fltp:sample_rates=${audioRateHz}:channel_layouts=${layout}`;
}

/**
 * Decodes a stream into a file of plain samples in the track's layout, on the title's clock: for streams that change
 * their own layout or rate midway, as broadcasts do. ffmpeg then makes its filters anew, and what they have counted
 * until there (silence to put in, samples to come) starts anew too. SOURCE_UNREADABLE, FFMPEG_FAILED; errors of runProcess.
 */
export async function plainAudio(
  runtime: FfmpegRuntime,
  audio: PlannedAudio,
  input: AudioInput,
  timeoutMs: number,
): Promise<AudioInput> {
  const path = join(runtime.cwd, 'plain.nut');
  // Times before the title's start would move all others in the file.
  const chain = `${input.filters},${audioFormat(audio)},atrim=start=0[a]`;
  const end = await runFfmpeg(runtime, {
    args: [
      ...[...input.arguments, '-filter_complex_threads', '1', '-filter_complex', chain, '-map', '[a]'],
      ...['-c:a', 'pcm_f32le', '-f', 'nut', path],
    ],
    timeoutMs,
  });
  const { error } = judgeEncode('audio', end, false, true);
  if (error) throw error;
  return { arguments: ['-copyts', '-f', 'nut', '-i', `file:${path}`], filters: '[0:0]anull' };
}
