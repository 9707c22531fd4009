import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonDigest } from '../../../server/core/canonical-json.ts';
import { invalidField } from '../../../server/core/errors.ts';
import type { JobContext, JobKind } from '../../queue/job-kind.ts';
import { encodeRejected, encoderMismatch } from '../errors.ts';
import { type FfmpegRuntime, runFfmpeg } from '../ffmpeg/run-ffmpeg.ts';
import { readTrackInfo } from '../mp4/init-segment.ts';
import { readSamples } from '../mp4/read-fragments.ts';
import { type AudioParams, parseAudioParams } from '../params.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import type { AudioCodec, PlannedAudio } from '../plan/plan-audio.ts';
import { loadPlan, sourcePath } from '../plan/plan-store.ts';
import { putSame } from '../put-same.ts';
import { arePartsWhole } from '../read-part.ts';
import { type AudioInput, audioFormat, audioRateHz, plainAudio, sourceAudio } from '../source/audio-input.ts';
import { findJson, putJsonOnce } from '../stored-json.ts';
import { runtimeFor, type TranscodeDeps } from '../transcode-deps.ts';
import { judgeEncode } from './judge-encode.ts';
import { type LoudnessReport, loudnessFilter, measureLoudness } from './loudness.ts';

/** Samples of one frame: AAC-LC, and Opus at its usual 20 ms. */
export const frameSamples: Readonly<Record<AudioCodec, number>> = { aac: 1024, opus: 960 };

/** Commit record of one audio track. */
export type AudioRecord = {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Coded frames, priming included. */
  readonly frames: number;
  /** Null for a track that was left as loud as it was. */
  readonly loudness: LoudnessReport | null;
};

/** Samples per channel that last as long as the video, to the nearest one. */
function audioSamples(plan: TranscodePlan): number {
  return Math.round((plan.frameCount * plan.rate.den * audioRateHz) / plan.rate.num);
}

/**
 * Source clock to title clock; silence where the source has none (late start, gaps) and nothing before the first
 * picture; exactly as long as the video. More channels than the track has are folded down by ffmpeg's matrix: to
 * stereo front as is, centre and surrounds at -3 dB into their sides, no LFE, scaled so that the sum cannot clip.
 */
function audioFilters(plan: TranscodePlan, audio: PlannedAudio, input: AudioInput, loudness: string): string {
  const format = audioFormat(audio);
  const chain = [
    input.filters,
    `aresample=${audioRateHz}:async=1:first_pts=0`,
    format,
    // Dynamic normalisation works at 192 kHz: back to ours, or nothing to do.
    ...(loudness === '' ? [] : [loudness, `aresample=${audioRateHz}`, format]),
    'apad',
    `atrim=end_sample=${audioSamples(plan)}`,
  ];
  return chain.join(',');
}

const encoders: Readonly<Record<AudioCodec, readonly string[]>> = {
  aac: ['aac'],
  opus: ['libopus', '-vbr', 'on', '-application', 'audio', '-frame_duration', '20'],
};

function audioArguments(
  plan: TranscodePlan,
  audio: PlannedAudio,
  input: AudioInput,
  loudness: string,
  path: string,
): string[] {
  const { codec, bitrateKbps, channels } = audio;
  return [
    ...input.arguments,
    ...['-filter_complex_threads', '1', '-filter_complex', `${audioFilters(plan, audio, input, loudness)}[a]`],
    ...['-map', '[a]'],
    ...['-c:a', ...encoders[codec], '-b:a', `${bitrateKbps}k`, '-ar', String(audioRateHz), '-ac', String(channels)],
    ...['-threads:a', '1'],
    ...['-flags:a', '+bitexact', '-fflags', '+bitexact', '-map_metadata', '-1', '-map_chapters', '-1'],
    // delay_moov: the edit list that skips the encoder's priming is known only after the first packet.
    ...['-movflags', '+empty_moov+delay_moov+default_base_moof', '-frag_duration', '10000000', '-f', 'mp4', path],
  ];
}

/** Faults of the encoded track: frames without a gap, priming declared, as long as the video within one frame. */
function audioFaults(data: Buffer, wantedSamples: number, codec: AudioCodec): { frames: number; faults: string[] } {
  const samples = readSamples(data);
  const { skipTicks, timescale } = readTrackInfo(data);
  const faults: string[] = [];
  if (timescale !== audioRateHz) faults.push(`timescale is ${timescale}`);
  let ticks = 0;
  for (const [index, sample] of samples.entries()) {
    if (sample.decodeTicks !== ticks) faults.push(`gap at tick ${ticks}`);
    // The last one may be cut short. ffmpeg ends with 0 after it pressed many frames into the time of one.
    const isWhole = sample.durationTicks === frameSamples[codec];
    if (!isWhole && index < samples.length - 1) faults.push(`frame ${index} lasts ${sample.durationTicks} samples`);
    ticks += sample.durationTicks;
  }
  const over = ticks - skipTicks - wantedSamples;
  if (Math.abs(over) >= frameSamples[codec]) faults.push(`${ticks - skipTicks} samples, ${wantedSamples} planned`);
  return { frames: samples.length, faults };
}

const audioTimeoutMs = 7_200_000;

interface AudioWork {
  readonly runtime: FfmpegRuntime;
  readonly context: JobContext;
  readonly plan: TranscodePlan;
  readonly audio: PlannedAudio;
}

async function encode(deps: TranscodeDeps, context: JobContext, plan: TranscodePlan, audio: PlannedAudio) {
  const runtime = await runtimeFor(deps, context);
  const { build } = runtime.binaries;
  if (build !== plan.encoderBuild) throw encoderMismatch(plan.encoderBuild, build);
  const work = { runtime, context, plan, audio };
  const input = sourceAudio(plan, audio, await sourcePath(deps.objects, plan, context.signal));
  const first = await encodeFrom(work, input);
  if (first.faults.length === 0) return first;
  context.log.info('decoding audio into plain samples first', { track: audio.id, cause: first.faults[0] });
  const second = await encodeFrom(work, await plainAudio(runtime, audio, input, audioTimeoutMs));
  if (second.faults.length > 0) throw encodeRejected(`audio ${audio.id}`, second.faults);
  return second;
}

/** Measures, encodes and checks; what is wrong with the track is in `faults`. */
async function encodeFrom({ runtime, context, plan, audio }: AudioWork, input: AudioInput) {
  const path = join(context.workDir, 'audio.mp4');
  const totalMs = (audioSamples(plan) / audioRateHz) * 1000;
  const report = (stage: string, from: number, to: number) => (outTimeMs: number) => {
    const done = Math.min(1, Math.max(0, outTimeMs / totalMs));
    context.progress({ fraction: from + (to - from) * done, stage });
  };
  const measure = (what: readonly string[], chain: string, from: number, to: number) =>
    measureLoudness(runtime, what, chain, {
      timeoutMs: audioTimeoutMs,
      onOutTimeMs: report('measure loudness', from, to),
    });
  const { loudnessLufs: target } = audio;
  const before =
    target === null ? undefined : await measure(input.arguments, audioFilters(plan, audio, input, ''), 0, 0.3);
  const change = before && target !== null ? loudnessFilter(before, target) : undefined;
  const onOutTimeMs = report('encode audio', before ? 0.3 : 0, before ? 0.9 : 1);
  const end = await runFfmpeg(runtime, {
    args: audioArguments(plan, audio, input, change?.filter ?? '', path),
    timeoutMs: audioTimeoutMs,
    onProgress: ({ outTimeMs }) => onOutTimeMs(outTimeMs),
  });
  const { error } = judgeEncode('audio', end, false, true);
  if (error) throw error;
  const data = await readFile(path, { signal: context.signal });
  const { frames, faults } = audioFaults(data, audioSamples(plan), audio.codec);
  if (faults.length > 0 || !before || !change || target === null) return { data, frames, faults, loudness: null };
  const result = await measure(['-f', 'mov', '-i', `file:${path}`], '[0:a]anull', 0.9, 1);
  const { mode, gainDb } = change;
  return { data, frames, faults, loudness: { targetLufs: target, source: before, result, mode, gainDb } };
}

async function runAudio(deps: TranscodeDeps, context: JobContext, params: AudioParams): Promise<AudioRecord> {
  const { objects } = deps;
  const { signal } = context;
  const plan = await loadPlan(objects, params.plan, signal);
  const audio = plan.audio[params.track];
  if (!audio) throw invalidField('track', `the plan has ${plan.audio.length} audio tracks`);
  const filters = audioFilters(plan, audio, sourceAudio(plan, audio, ''), '');
  const cause = { recipe: 3, source: plan.source.sha256, filters, audio };
  const folder = `transcode/audio/${jsonDigest({ ...cause, encoder: plan.encoderBuild })}`;
  const known = await findJson<AudioRecord>(objects, `${folder}/commit.json`, signal);
  if (known && (await arePartsWhole(objects, [known]))) return known;
  const { data, frames, loudness } = await encode(deps, context, plan, audio);
  const key = `${folder}/audio.mp4`;
  const commitKey = `${folder}/commit.json`;
  const info = await putSame(objects, { key, body: data, contentType: 'audio/mp4', signal, commitKey });
  const record: AudioRecord = { key, bytes: info.bytes, sha256: info.sha256, frames, loudness };
  await putJsonOnce(objects, commitKey, record, signal);
  return record;
}

/**
 * Job kind `encode-audio`: one track of the whole title in one piece, because AAC cut into chunks adds 160 ms a minute and a hole
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
