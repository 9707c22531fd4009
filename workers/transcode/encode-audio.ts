import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonDigest } from '../../server/core/canonical-json.ts';
import { invalidField } from '../../server/core/errors.ts';
import type { JobContext, JobKind } from '../queue/job-kind.ts';
import { encodeRejected, encoderMismatch } from './errors.ts';
import { judgeEncode } from './judge-encode.ts';
import { readTrackInfo } from './mp4/init-segment.ts';
import { readSamples } from './mp4/read-fragments.ts';
import { type AudioParams, parseAudioParams } from './params.ts';
import type { PlannedAudio, TranscodePlan } from './plan.ts';
import { loadPlan, sourcePath } from './plan-store.ts';
import { sourceInput } from './probe-streams.ts';
import { runFfmpeg } from './run-ffmpeg.ts';
import { findJson, putJsonOnce } from './stored-json.ts';
import { runtimeFor, type TranscodeDeps } from './transcode-deps.ts';

/** Output of every title: AAC-LC stereo at 48 kHz. */
export const audioRateHz = 48_000;
/** Samples of one AAC-LC frame. */
export const aacFrameSamples = 1024;

/** Commit record of a title's audio. */
export type AudioRecord = {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
  /** AAC frames, priming included. */
  readonly frames: number;
};

/** Samples per channel that last as long as the video, to the nearest one. */
export function audioSamples(plan: TranscodePlan): number {
  return Math.round((plan.frameCount * plan.rate.den * audioRateHz) / plan.rate.num);
}

/**
 * Source clock to title clock; silence where the source has none (late start, gaps) and nothing before the first
 * picture; exactly as long as the video. More than two channels are folded down by ffmpeg's matrix: front as is,
 * centre and surrounds at -3 dB into their sides, no LFE, scaled so that the sum cannot clip.
 */
function audioFilters(plan: TranscodePlan, audio: PlannedAudio): string {
  const { startTicks, timeBase } = plan.video;
  const chain = [
    `asetpts=round(PTS-${startTicks}*${timeBase.num}/${timeBase.den}/TB)`,
    `aresample=${audioRateHz}:async=1:first_pts=0`,
    `aformat=sample_fmts=fltp:sample_rates=${audioRateHz}:channel_layouts=stereo`,
    'apad',
    `atrim=end_sample=${audioSamples(plan)}`,
  ];
  return `[0:${audio.streamIndex}]${chain.join(',')}[a]`;
}

function audioArguments(plan: TranscodePlan, audio: PlannedAudio, source: string, path: string): string[] {
  return [
    ...['-copyts', '-threads', '1', ...sourceInput(plan.source.demuxer, source)],
    ...['-filter_complex_threads', '1', '-filter_complex', audioFilters(plan, audio), '-map', '[a]'],
    ...['-c:a', 'aac', '-b:a', `${audio.bitrateKbps}k`, '-ar', String(audioRateHz), '-ac', '2', '-threads:a', '1'],
    ...['-flags:a', '+bitexact', '-fflags', '+bitexact', '-map_metadata', '-1', '-map_chapters', '-1'],
    // delay_moov: the edit list that skips the encoder's priming is known only after the first packet.
    ...['-movflags', '+empty_moov+delay_moov+default_base_moof', '-frag_duration', '10000000', '-f', 'mp4', path],
  ];
}

/** Faults of the encoded track: AAC frames without a gap, priming declared, as long as the video within one frame. */
function audioFaults(data: Buffer, wantedSamples: number): { frames: number; faults: string[] } {
  const samples = readSamples(data);
  const { skipTicks, timescale } = readTrackInfo(data);
  const faults: string[] = [];
  if (timescale !== audioRateHz) faults.push(`timescale is ${timescale}`);
  let ticks = 0;
  for (const sample of samples) {
    if (sample.decodeTicks !== ticks) faults.push(`gap at tick ${ticks}`);
    ticks += sample.durationTicks;
  }
  const over = ticks - skipTicks - wantedSamples;
  if (Math.abs(over) >= aacFrameSamples) faults.push(`${ticks - skipTicks} samples, ${wantedSamples} planned`);
  return { frames: samples.length, faults };
}

const audioTimeoutMs = 7_200_000;

async function encode(deps: TranscodeDeps, context: JobContext, plan: TranscodePlan, audio: PlannedAudio) {
  const runtime = await runtimeFor(deps, context);
  const { build } = runtime.binaries;
  if (build !== plan.encoderBuild) throw encoderMismatch(plan.encoderBuild, build);
  const source = await sourcePath(deps.objects, plan, context.signal);
  const path = join(context.workDir, 'audio.mp4');
  const totalMs = (audioSamples(plan) / audioRateHz) * 1000;
  const end = await runFfmpeg(runtime, {
    args: audioArguments(plan, audio, source, path),
    timeoutMs: audioTimeoutMs,
    onProgress: ({ outTimeMs }) =>
      context.progress({ fraction: Math.min(1, Math.max(0, outTimeMs / totalMs)), stage: 'encode audio' }),
  });
  const { error } = judgeEncode('audio', end, false, true);
  if (error) throw error;
  const { frames, faults } = audioFaults(await readFile(path, { signal: context.signal }), audioSamples(plan));
  if (faults.length > 0) throw encodeRejected('audio', faults);
  return { path, frames };
}

async function runAudio(deps: TranscodeDeps, context: JobContext, params: AudioParams): Promise<AudioRecord> {
  const { objects } = deps;
  const { signal } = context;
  const plan = await loadPlan(objects, params.plan, signal);
  if (!plan.audio) throw invalidField('plan', 'has no audio');
  const cause = { recipe: 1, source: plan.source.sha256, filters: audioFilters(plan, plan.audio), audio: plan.audio };
  const folder = `transcode/audio/${jsonDigest({ ...cause, encoder: plan.encoderBuild })}`;
  const known = await findJson<AudioRecord>(objects, `${folder}/commit.json`, signal);
  if (known && (await objects.stat(known.key))?.sha256 === known.sha256) return known;
  const { path, frames } = await encode(deps, context, plan, plan.audio);
  const key = `${folder}/audio.mp4`;
  const info = await objects.putFile(key, path, { contentType: 'audio/mp4', signal });
  const record: AudioRecord = { key, bytes: info.bytes, sha256: info.sha256, frames };
  await putJsonOnce(objects, `${folder}/commit.json`, record, signal);
  return record;
}

/**
 * Job kind `encode-audio`: the whole title in one piece, because AAC cut into chunks adds 160 ms a minute and a hole
 * at every join. Content-addressed as encode-chunk.
 */
export function createEncodeAudioKind(deps: TranscodeDeps): JobKind<AudioParams, AudioRecord> {
  return {
    name: 'encode-audio',
    queueClass: 'encode',
    timeoutMs: audioTimeoutMs + 600_000,
    maxRetries: 3,
    parseParams: parseAudioParams,
    run: (context, params) => runAudio(deps, context, params),
  };
}
