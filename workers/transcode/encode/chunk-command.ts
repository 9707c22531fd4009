import { encoderArguments } from '../codecs/encoder-arguments.ts';
import type { DisplaySize, Rung } from '../plan/ladder.ts';
import type { PlannedChunk, TranscodePlan } from '../plan/plan.ts';
import { colourFilters } from '../source/colour.ts';
import type { HdrSignal } from '../source/hdr.ts';
import { sourceInput } from '../source/probe-streams.ts';
import { clockArguments, titleTime } from '../source/source-clock.ts';

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

/** A picture to make: SDR unless it keeps the source's range. */
export interface Picture extends DisplaySize {
  readonly hdr?: HdrSignal;
}

/**
 * What all rungs of a chunk share: source clock to title clock, constant rate, its frames alone, times from numbers,
 * and the way to SDR unless pictures stay HDR.
 */
export function sharedFilters(plan: TranscodePlan, chunk: PlannedChunk, keepsHdr: boolean): string {
  const { startTicks, decodeDelayTicks, deinterlace, heldFrames, roundedFrames, shiftSeconds } = plan.video;
  const rate = `${plan.rate.num}/${plan.rate.den}`;
  const shift = shiftSeconds > 0 ? `+${shiftSeconds.toFixed(6)}/TB` : '';
  const repeats = heldFrames + roundedFrames;
  return [
    `setpts=round(${titleTime(plan, startTicks + decodeDelayTicks)}${shift})`,
    ...(deinterlace ? ['bwdif=mode=send_field:parity=auto:deint=interlaced'] : []),
    `fps=${rate}`,
    ...(repeats > 0 ? [`tpad=stop=${repeats}:stop_mode=clone`] : []),
    `trim=start=${cutTime(chunk.start, plan)}:end=${cutTime(chunk.end, plan)}`,
    `setpts=N/(${rate}*TB)`,
    ...(plan.video.toneMap && !keepsHdr ? toneMap : []),
  ].join(',');
}

/** To a size, square pixels and 4:2:0 of 8 bit with its colours said, or of 10 where it stays HDR. */
export function scaleFilters({ width, height, hdr }: Picture, { video }: Pick<TranscodePlan, 'video'>): string {
  const colour = colourFilters(video.colour);
  const scale = `scale=${width}:${height}:flags=bicubic+accurate_rnd+bitexact:out_range=tv`;
  if (hdr) return `${scale},setsar=1,format=yuv420p10le`;
  return `${scale}${colour.scale},setsar=1,format=yuv420p,${colour.tag}`;
}

/**
 * Filters of one chunk: the shared ones, then each size once, then a copy of it `[vN]` for each picture of that size.
 * Either all pictures stay HDR or none: codecs have processes of their own.
 */
export function chunkFilters(plan: TranscodePlan, chunk: PlannedChunk, pictures: readonly Picture[]): string {
  const keepsHdr = pictures.some(({ hdr }) => hdr !== undefined);
  const ofSize = Map.groupBy(pictures.entries(), ([, { width, height }]) => `${width}x${height}`);
  const groups = [...ofSize.values()];
  const pads = groups.map((_group, index) => `[s${index}]`).join('');
  const scaled = groups.map((group, index) => {
    const size = group[0]?.[1] ?? { width: 2, height: 2 };
    const copies = group.map(([picture]) => `[v${picture}]`).join('');
    return `[s${index}]${scaleFilters(size, plan)},split=${group.length}${copies}`;
  });
  const shared = `[0:${plan.video.streamIndex}]${sharedFilters(plan, chunk, keepsHdr)},split=${groups.length}${pads}`;
  return [shared, ...scaled].join(';');
}

/** Options of a rung's output but for its input pad and path: with the filters, all that decides its bytes. */
export function rungArguments(plan: TranscodePlan, rung: Rung): string[] {
  return [
    ...['-r', `${plan.rate.num}/${plan.rate.den}`, ...encoderArguments(rung, plan.gopFrames)],
    ...['-video_track_timescale', String(plan.timescale)],
    ...['-map_metadata', '-1', '-map_chapters', '-1', '-fflags', '+bitexact'],
    ...['-movflags', '+frag_keyframe+empty_moov+default_base_moof', '-f', 'mp4'],
  ];
}

/** One picture to make of a chunk. */
export interface ChunkOutput {
  readonly size: Picture;
  readonly arguments: readonly string[];
  readonly path: string;
}

/** A rung as fragmented MP4 at a path. */
export function rungOutput(plan: TranscodePlan, rung: Rung, path: string): ChunkOutput {
  return { size: rung, arguments: rungArguments(plan, rung), path };
}

/**
 * Arguments of ffmpeg for one chunk: one decode, every output in the same process. `seek` false reads from the
 * source's start: slow, but free of what decoders say about a seek.
 */
export function chunkArguments(
  plan: TranscodePlan,
  chunk: PlannedChunk,
  sourcePath: string,
  outputs: readonly ChunkOutput[],
  seek: boolean,
): string[] {
  const seeking =
    seek && chunk.seekSeconds !== null
      ? ['-seek_timestamp', '1', '-noaccurate_seek', '-ss', chunk.seekSeconds.toFixed(6)]
      : [];
  const filters = chunkFilters(
    plan,
    chunk,
    outputs.map((output) => output.size),
  );
  // A filter graph that is made anew in the middle counts its frames anew: the scaler takes other sizes as they come.
  const steady = plan.video.mayChangeSize ? ['-reinit_filter', '0'] : [];
  return [
    ...[
      ...clockArguments(plan),
      '-threads',
      '1',
      ...steady,
      ...seeking,
      ...sourceInput(plan.source.demuxer, sourcePath),
    ],
    ...['-filter_complex_threads', '1', '-filter_complex', filters],
    ...outputs.flatMap((output, index) => ['-map', `[v${index}]`, ...output.arguments, output.path]),
  ];
}
