import type { Rung } from './ladder.ts';
import type { PlannedChunk, TranscodePlan } from './plan.ts';
import { sourceInput } from './probe-streams.ts';

/** x264 threads of each rung: part of the content, because another count gives other bytes. */
export const encoderThreads = 1;

/** PQ/HLG to BT.709: linear light, wide to narrow primaries, a curve that keeps highlights, back to 8 bit. */
const toneMap = [
  'zscale=transfer=linear:npl=100',
  'format=gbrpf32le',
  'zscale=primaries=bt709',
  'tonemap=hable:desat=0',
  'zscale=transfer=bt709:matrix=bt709:range=tv',
  'format=yuv420p',
];

/** Seconds of output frame `frame`, a quarter frame early: rounding then never takes or drops one. */
function cutTime(frame: number, plan: TranscodePlan): string {
  return (((frame - 0.25) * plan.rate.den) / plan.rate.num).toFixed(9);
}

/**
 * The filters of one chunk: source clock to title clock, constant rate, the chunk's frames alone, times made from
 * frame numbers, then one scaled copy for each rung.
 */
export function chunkFilters(plan: TranscodePlan, chunk: PlannedChunk): string {
  const { startTicks, timeBase, deinterlace } = plan.video;
  const rate = `${plan.rate.num}/${plan.rate.den}`;
  const shared = [
    `setpts=round(PTS-${startTicks}*${timeBase.num}/${timeBase.den}/TB)`,
    ...(deinterlace ? ['bwdif=mode=send_frame:deint=interlaced'] : []),
    `fps=${rate}`,
    `trim=start=${cutTime(chunk.start, plan)}:end=${cutTime(chunk.end, plan)}`,
    `setpts=N/(${rate}*TB)`,
    ...(plan.video.toneMap ? toneMap : []),
    `split=${plan.rungs.length}`,
  ].join(',');
  const pads = plan.rungs.map((_rung, index) => `[s${index}]`).join('');
  const scaled = plan.rungs.map((rung, index) => {
    const scale = `scale=${rung.width}:${rung.height}:flags=bicubic+accurate_rnd+bitexact:out_range=tv`;
    return `[s${index}]${scale},setsar=1,format=yuv420p[v${index}]`;
  });
  return [`[0:${plan.video.streamIndex}]${shared}${pads}`, ...scaled].join(';');
}

function rungOutput(plan: TranscodePlan, rung: Rung, index: number, path: string): string[] {
  const gop = String(plan.gopFrames);
  return [
    ...['-map', `[v${index}]`, '-r', `${plan.rate.num}/${plan.rate.den}`],
    ...['-c:v', 'libx264', '-preset', rung.preset, '-profile:v', rung.profile, '-level:v', rung.level],
    ...['-crf', String(rung.crf), '-maxrate', `${rung.maxrateKbps}k`, '-bufsize', `${rung.bufsizeKbps}k`],
    ...['-g', gop, '-keyint_min', gop, '-sc_threshold', '0', '-flags:v', '+cgop+bitexact'],
    ...['-threads:v', String(encoderThreads), '-video_track_timescale', String(plan.timescale)],
    ...['-map_metadata', '-1', '-map_chapters', '-1', '-fflags', '+bitexact'],
    ...['-movflags', '+frag_keyframe+empty_moov+default_base_moof', '-f', 'mp4', path],
  ];
}

/**
 * Arguments of ffmpeg for one chunk: one decode, every rung in the same process. `paths[i]` gets rung i as fragmented
 * MP4. `seek` false reads from the source's start: slow, but free of what decoders say about a seek.
 */
export function chunkArguments(
  plan: TranscodePlan,
  chunk: PlannedChunk,
  sourcePath: string,
  paths: readonly string[],
  seek: boolean,
): string[] {
  const seeking =
    seek && chunk.seekSeconds !== null
      ? ['-seek_timestamp', '1', '-noaccurate_seek', '-ss', chunk.seekSeconds.toFixed(6)]
      : [];
  return [
    ...['-copyts', '-threads', '1', ...seeking, ...sourceInput(plan.source.demuxer, sourcePath)],
    ...['-filter_complex_threads', '1', '-filter_complex', chunkFilters(plan, chunk)],
    ...plan.rungs.flatMap((rung, index) => rungOutput(plan, rung, index, paths[index] ?? '')),
  ];
}
