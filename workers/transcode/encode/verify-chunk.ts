import type { VideoCodec } from '../codecs/video-codec.ts';
import type { TrackInfo } from '../mp4/init-segment.ts';
import { isRandomAccess } from '../mp4/random-access.ts';
import type { Sample } from '../mp4/read-fragments.ts';
import type { Rung } from '../plan/ladder.ts';

interface ExpectedChunk {
  readonly codec: VideoCodec;
  readonly frames: number;
  readonly gopFrames: number;
  readonly ticksPerFrame: number;
}

/**
 * Faults of one rung of one chunk against its plan; empty = correct. ffmpeg's exit code says nothing about any of
 * these: frame count, an IDR picture (in VP9 and AV1 a key frame, by its coded bits) first and at every GOP and nowhere else, decode times one frame apart,
 * presentation times that fill 0..n-1 with none twice and none missing.
 */
export function chunkFaults(samples: readonly Sample[], expected: ExpectedChunk): string[] {
  const { codec, frames, gopFrames, ticksPerFrame } = expected;
  if (samples.length !== frames) return [`${samples.length} frames, ${frames} planned`];
  const faults: string[] = [];
  const firstDecode = samples[0]?.decodeTicks ?? 0;
  const delay = samples[0]?.offsetTicks ?? 0;
  const shown = new Uint8Array(frames);
  samples.forEach((sample, index) => {
    const isKey = index % gopFrames === 0;
    if (sample.sync !== isKey) faults.push(`frame ${index} ${isKey ? 'is no keyframe' : 'is an unplanned keyframe'}`);
    if (isKey && !isRandomAccess(codec, sample.data)) faults.push(`frame ${index} is no IDR picture`);
    const decode = sample.decodeTicks - firstDecode;
    if (decode !== index * ticksPerFrame) faults.push(`frame ${index} is decoded at tick ${decode}`);
    if (sample.durationTicks !== ticksPerFrame) faults.push(`frame ${index} lasts ${sample.durationTicks} ticks`);
    const position = (decode + sample.offsetTicks - delay) / ticksPerFrame;
    if (Number.isInteger(position) && position >= 0 && position < frames) shown[position] = (shown[position] ?? 0) + 1;
    else faults.push(`frame ${index} is shown at position ${position}`);
  });
  shown.forEach((times, position) => {
    if (times !== 1) faults.push(`position ${position} is shown ${times} times`);
  });
  return faults;
}

const entries: Readonly<Record<VideoCodec, string>> = { h264: 'avc1', hevc: 'hvc1', vp9: 'vp09', av1: 'av01' };
/** `profile_idc` of H.264. */
const h264Profiles: Readonly<Record<string, string>> = { main: '4d', high: '64' };

/**
 * Faults of a rung's header against what was asked for: codec and size; of H.264 also profile and level, which the
 * encoder writes into the parameter sets that avcC begins with; of HDR the 10 bit, as a build without falls back to 8.
 */
export function headerFaults(info: Pick<TrackInfo, 'codec' | 'width' | 'height'>, rung: Rung): string[] {
  const { codec, width, height } = info;
  const faults: string[] = [];
  if (!codec.startsWith(`${entries[rung.codec]}.`)) faults.push(`its codec is ${codec}, not ${rung.codec}`);
  if (width !== rung.width || height !== rung.height)
    faults.push(`its pictures are ${width}x${height}, not ${rung.width}x${rung.height}`);
  if (rung.codec === 'h264') {
    const level = Math.round(Number(rung.level) * 10).toString(16);
    const asked = `${h264Profiles[rung.profile]}..${level.padStart(2, '0')}`;
    if (!new RegExp(`^avc1\\.${asked}$`).test(codec))
      faults.push(`${codec} is not ${rung.profile} at level ${rung.level}`);
  }
  if (rung.hdr && !codec.startsWith('hvc1.2.')) faults.push('not in 10 bit');
  return faults;
}
