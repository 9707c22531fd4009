import { sourceRefused } from '../errors.ts';
import { errorText } from '../ffmpeg/ffmpeg-errors.ts';
import { type FfmpegRuntime, runFfprobe } from '../ffmpeg/run-ffmpeg.ts';
import { type Rational, toNumber } from '../rational.ts';
import { sourceInput } from './probe-streams.ts';
import type { Demuxer } from './sniff-container.ts';

/** What the packets of a video stream say without being decoded; times are ticks of the stream. */
export interface VideoPackets {
  /** All packets, also those an edit list hides. */
  readonly count: number;
  /** Presentation times of shown frames, sorted. */
  readonly ptsTicks: Float64Array;
  /** Coded bytes of each of them, in the same order. */
  readonly frameBytes: Float64Array;
  readonly keyframeTicks: Float64Array;
  /** True when the file has no presentation times and those above are times of decoding (AVI with B-frames). */
  readonly timesAreDecode: boolean;
  readonly warnings: readonly string[];
}

/** A clock that runs back by more seconds than this belongs to a second recording. */
const mostBackSeconds = 1;
/** Pauses between pictures that are told; shorter ones are usual in what was recorded from a screen. */
const leastToldPauseSeconds = 10;

/** What demuxers say when the file ends before its own promise. */
const cutShort = /partial file|ended prematurely|truncat|end of file/i;
/** Decoders say the like of single pictures: of encrypted ones, for example. */
const decoderLine =
  /^(?:h26\d|hevc|mpeg[124]\w*|mjpeg|prores|vc1|vp\d|av1|aac|e?ac3|mp[23]\w*|opus|vorbis|flac)\b[^:]*: /;

/** Where the clock runs back the farthest, in ticks of decoding. */
interface StepBack {
  readonly times: number;
  readonly fromTicks: number;
  readonly toTicks: number;
}

interface PacketSink {
  push(chunk: Buffer): void;
  take(): Omit<VideoPackets, 'warnings'> & { corrupt: number; over: boolean; back: StepBack };
}

/** Reads `pts,dts,size,flags` lines; a missing presentation time falls back to the decode time (AVI has only that). */
function createPacketSink(maxFrames: number): PacketSink {
  const pts: number[] = [];
  const bytes: number[] = [];
  const keys: number[] = [];
  let rest = '';
  let count = 0;
  let corrupt = 0;
  let withoutPts = 0;
  let lastDecode = Number.NEGATIVE_INFINITY;
  let back: StepBack = { times: 0, fromTicks: 0, toTicks: 0 };
  const readOrder = (decode: number) => {
    if (decode < lastDecode) {
      const isFarthest = lastDecode - decode > back.fromTicks - back.toTicks;
      const farthest = isFarthest ? { fromTicks: lastDecode, toTicks: decode } : back;
      back = { ...farthest, times: back.times + 1 };
    }
    lastDecode = decode;
  };
  const read = (line: string) => {
    const [ptsText = '', dtsText = '', size = '', flags = ''] = line.split(',');
    if (ptsText === '') return;
    count++;
    const ticks = Number(ptsText === 'N/A' ? dtsText : ptsText);
    if (ptsText === 'N/A') withoutPts++;
    if (flags.includes('C')) corrupt++;
    if (!Number.isFinite(ticks) || flags.includes('D') || count > maxFrames) return;
    if (dtsText !== 'N/A') readOrder(Number(dtsText));
    pts.push(ticks);
    bytes.push(Number(size));
    if (flags.includes('K')) keys.push(ticks);
  };
  return {
    push: (chunk) => {
      const lines = (rest + chunk.toString('latin1')).split('\n');
      rest = (lines.pop() ?? '').slice(0, 4096);
      for (const line of lines) read(line);
    },
    take: () => {
      const order = Uint32Array.from(pts.keys()).sort((a, b) => (pts[a] ?? 0) - (pts[b] ?? 0));
      return {
        count,
        corrupt,
        over: count > maxFrames,
        back,
        timesAreDecode: withoutPts > 0,
        ptsTicks: Float64Array.from(order, (index) => pts[index] ?? 0),
        frameBytes: Float64Array.from(order, (index) => bytes[index] ?? 0),
        keyframeTicks: Float64Array.from(keys).sort(),
      };
    },
  };
}

/**
 * Counts and times every packet of the video stream: what a file holds, where its header only says.
 * INVALID_ARGUMENT SOURCE_TRUNCATED, SOURCE_UNREADABLE, SOURCE_DISCONTINUOUS, SOURCE_TOO_LARGE (over `maxFrames`).
 */
export async function readPackets(
  runtime: FfmpegRuntime,
  demuxer: Demuxer,
  path: string,
  stream: { readonly index: number; readonly timeBase: Rational },
  maxFrames: number,
): Promise<VideoPackets> {
  const sink = createPacketSink(maxFrames);
  const show = ['-select_streams', String(stream.index), '-show_entries', 'packet=pts,dts,size,flags'];
  const args = [...show, '-print_format', 'csv=p=0', ...sourceInput(demuxer, path)];
  const end = await runFfprobe(runtime, args, sink.push);
  const { corrupt, over, back, ...packets } = sink.take();
  const said = end.errorLines.map(errorText);
  const cut = said.find((line) => cutShort.test(line) && !decoderLine.test(line));
  if (cut) throw sourceRefused('SOURCE_TRUNCATED', `the file ends too early (${cut})`);
  if (end.exitCode !== 0) throw sourceRefused('SOURCE_UNREADABLE', said[0] ?? 'its packets cannot be read');
  if (corrupt > 0)
    throw sourceRefused('SOURCE_UNREADABLE', `${corrupt} of ${packets.count} packets are marked corrupt`);
  if (over) throw sourceRefused('SOURCE_TOO_LARGE', `more than the ${maxFrames} frames allowed`);
  const { timeBase } = stream;
  return {
    ...packets,
    warnings: [...said, ...backWarnings(back, timeBase), ...pauseWarnings(packets.ptsTicks, timeBase)],
  };
}

/**
 * Small steps back are a muxer's sloppiness. A large one is the start of a second recording in the same file: its times
 * lie over those of the first, and half of the pictures would be lost. SOURCE_DISCONTINUOUS.
 */
function backWarnings({ times, fromTicks, toTicks }: StepBack, timeBase: Rational): string[] {
  if (times === 0) return [];
  const seconds = (ticks: number) => ticks * toNumber(timeBase);
  const [from, to] = [seconds(fromTicks), seconds(toTicks)];
  if (from - to > mostBackSeconds) {
    const why = `its clock runs back from ${from.toFixed(2)} s to ${to.toFixed(2)} s, as where files were put end to end`;
    throw sourceRefused('SOURCE_DISCONTINUOUS', `${why}: join them anew, or send each by itself`);
  }
  const often = times === 1 ? 'once' : `${times} times`;
  return [`the clock of the video runs back ${often}, by ${(from - to).toFixed(3)} s at most`];
}

/** A pause may be meant, and may be a recording that was broken off. */
function pauseWarnings(ptsTicks: Float64Array, timeBase: Rational): string[] {
  let longest = 0;
  let at = 0;
  for (let index = 1; index < ptsTicks.length; index++) {
    const pause = (ptsTicks[index] ?? 0) - (ptsTicks[index - 1] ?? 0);
    if (pause > longest) [longest, at] = [pause, (ptsTicks[index - 1] ?? 0) - (ptsTicks[0] ?? 0)];
  }
  const [pauseSeconds, atSeconds] = [longest * toNumber(timeBase), at * toNumber(timeBase)];
  if (pauseSeconds < leastToldPauseSeconds) return [];
  return [
    `the picture of ${atSeconds.toFixed(1)} s is held for ${pauseSeconds.toFixed(1)} s: the source has none until then`,
  ];
}
