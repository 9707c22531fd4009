import { stat } from 'node:fs/promises';
import { sourceRefused } from '../errors.ts';
import type { FfmpegRuntime } from '../ffmpeg/run-ffmpeg.ts';
import { maxAudioStreams } from '../plan/plan-audio.ts';
import { type Rational, rational, toNumber } from '../rational.ts';
import { detectInterlace } from './detect-interlace.ts';
import { hdrRangeOf, readHdrSignal } from './hdr.ts';
import { readAudioEnd, readDecodeDelay } from './probe-ends.ts';
import { readPackets, type VideoPackets } from './probe-packets.ts';
import { type ProbedStream, readStreams, sourceInput } from './probe-streams.ts';
import { type Demuxer, sniffContainer } from './sniff-container.ts';
import type { SourceAudio, SourceLimits, SourceProbe, SourceText, SourceVideo } from './source-probe.ts';
import { refuseCutTransport } from './transport-tail.ts';

const interlacedOrders = new Set(['tt', 'bb', 'tb', 'bt']);

/**
 * Looks into a source without trusting its container: the demuxer is chosen by the first bytes, frames are counted by
 * packets, the rate comes from their times. Only the `file` protocol is open to ffprobe, so nothing a file names can be
 * fetched. INVALID_ARGUMENT with a SOURCE_* reason for what cannot become a title; errors of runProcess.
 */
export async function probeSource(runtime: FfmpegRuntime, path: string, limits: SourceLimits): Promise<SourceProbe> {
  const { size: bytes } = await stat(path);
  if (bytes === 0) throw sourceRefused('SOURCE_EMPTY', 'the file has no bytes');
  if (bytes > limits.maxBytes) {
    throw sourceRefused('SOURCE_TOO_LARGE', `${bytes} bytes are more than the ${limits.maxBytes} allowed`);
  }
  const demuxer = await sniffContainer(path);
  refuseCutTransport(demuxer, bytes);
  const { streams, warnings } = await readStreams(runtime, demuxer, path);
  const stream = chooseVideo(streams);
  refuseSize(stream, limits);
  const timeBase = stream.timeBase;
  if (!timeBase) throw sourceRefused('SOURCE_UNREADABLE', 'the video stream has no clock');
  const packets = await readPackets(runtime, demuxer, path, { index: stream.index, timeBase }, limits.maxFrames);
  if (packets.ptsTicks.length === 0) throw sourceRefused('SOURCE_NOT_VIDEO', 'the video stream has no frames');
  if (stream.frameCount !== undefined && packets.count < stream.frameCount) {
    const why = `the index lists ${stream.frameCount} frames, the file holds ${packets.count}`;
    throw sourceRefused('SOURCE_TRUNCATED', why);
  }
  const { audio, warnings: unheard } = chooseAudio(streams);
  const audioEndSeconds = await endOfAudio(runtime, demuxer, path, { audio, packets, timeBase, limits });
  const isMarked = interlacedOrders.has(stream.fieldOrder);
  const interlaced = isMarked && (await detectInterlace(runtime, demuxer, path, stream.index));
  const range = hdrRangeOf(stream.colorTransfer);
  const hdr = range && (await readHdrSignal(runtime, range, sourceInput(demuxer, path), stream.index));
  const first = { index: stream.index, firstTicks: packets.ptsTicks[0] ?? 0 };
  const decodeDelayTicks = packets.timesAreDecode ? await readDecodeDelay(runtime, demuxer, path, first) : 0;
  return {
    demuxer,
    bytes,
    video: { ...videoOf(stream, timeBase, packets, interlaced), decodeDelayTicks, ...(hdr ? { hdr } : {}) },
    audio,
    ...(audioEndSeconds === undefined ? {} : { audioEndSeconds }),
    subtitles: streams.filter((each) => each.type === 'subtitle').map(textOf),
    warnings: [...unheard, ...warnings, ...packets.warnings],
  };
}

function chooseVideo(streams: readonly ProbedStream[]): ProbedStream {
  const candidates = streams.filter((stream) => stream.type === 'video' && !stream.attachedPicture);
  const chosen = candidates.find((stream) => stream.isDefault) ?? candidates[0];
  if (!chosen) throw sourceRefused('SOURCE_NOT_VIDEO', 'the file has no video stream');
  if (chosen.codec === '' || chosen.width === 0 || chosen.height === 0) {
    throw sourceRefused('SOURCE_UNREADABLE', 'the video stream cannot be read: its codec or size is unknown');
  }
  return chosen;
}

interface Lengths {
  readonly audio: readonly SourceAudio[];
  readonly packets: VideoPackets;
  readonly timeBase: Rational;
  readonly limits: SourceLimits;
}

/** Where audio that outlasts the pictures ends. SOURCE_TOO_LARGE, also where the last picture would be held too long. */
async function endOfAudio(
  runtime: FfmpegRuntime,
  demuxer: Demuxer,
  path: string,
  { audio, packets: { ptsTicks }, timeBase, limits }: Lengths,
): Promise<number | undefined> {
  const fromSeconds = (ptsTicks.at(-1) ?? 0) * toNumber(timeBase);
  const startSeconds = (ptsTicks[0] ?? 0) * toNumber(timeBase);
  refuseDuration(fromSeconds - startSeconds, limits);
  const indexes = audio.slice(0, maxAudioStreams).map(({ streamIndex }) => streamIndex);
  const endSeconds = await readAudioEnd(runtime, demuxer, path, { indexes, fromSeconds });
  refuseDuration((endSeconds ?? fromSeconds) - startSeconds, limits);
  return endSeconds;
}

/** Codecs that ffprobe has no name for. */
const unknownCodecs = new Set(['', 'none', 'unknown']);

/** Streams of a codec that nobody knows (phones add one beside AAC) are left out, unless they are all the audio there is. */
function chooseAudio(streams: readonly ProbedStream[]): { audio: SourceAudio[]; warnings: string[] } {
  const all = streams.filter((each) => each.type === 'audio' && each.channels > 0);
  const unknown = all.filter(({ codec }) => unknownCodecs.has(codec));
  if (unknown.length > 0 && unknown.length === all.length) {
    throw sourceRefused('SOURCE_UNREADABLE', 'the audio cannot be read: its codec is unknown');
  }
  const warnings = unknown.map(({ index }) => `audio stream ${index} left out: its codec is unknown`);
  return { audio: all.filter((each) => !unknown.includes(each)).map(audioOf), warnings };
}

function refuseSize(stream: ProbedStream, limits: SourceLimits): void {
  if (stream.width <= limits.maxWidth && stream.height <= limits.maxHeight) return;
  const why = `${stream.width}x${stream.height} is more than the ${limits.maxWidth}x${limits.maxHeight} allowed`;
  throw sourceRefused('SOURCE_TOO_LARGE', why);
}

function refuseDuration(seconds: number, limits: SourceLimits): void {
  if (seconds <= limits.maxSeconds) return;
  throw sourceRefused('SOURCE_TOO_LARGE', `${Math.round(seconds)} s are more than the ${limits.maxSeconds} s allowed`);
}

function videoOf(
  stream: ProbedStream,
  timeBase: Rational,
  packets: VideoPackets,
  interlaced: boolean,
): Omit<SourceVideo, 'decodeDelayTicks' | 'hdr'> {
  return {
    streamIndex: stream.index,
    codec: stream.codec,
    width: stream.width,
    height: stream.height,
    rotation: stream.rotation,
    pixelAspect: stream.pixelAspect ?? rational(1, 1),
    interlaced,
    pixelFormat: stream.pixelFormat,
    colorSpace: stream.colorSpace,
    colorPrimaries: stream.colorPrimaries,
    colorTransfer: stream.colorTransfer,
    timeBase,
    claimedRates: stream.rates,
    ptsTicks: packets.ptsTicks,
    frameBytes: packets.frameBytes,
    keyframeTicks: packets.keyframeTicks,
  };
}

function audioOf(stream: ProbedStream): SourceAudio {
  return {
    streamIndex: stream.index,
    codec: stream.codec,
    channels: stream.channels,
    layout: stream.channelLayout,
    sampleRateHz: stream.sampleRateHz,
    language: stream.language,
    title: stream.title,
    isDefault: stream.isDefault,
    isCommentary: stream.dispositions.has('comment'),
    isDescription: stream.dispositions.has('visual_impaired') || stream.dispositions.has('descriptions'),
  };
}

function textOf({ index, codec, language, title, dispositions }: ProbedStream): SourceText {
  const forced = dispositions.has('forced');
  return { streamIndex: index, codec, language, title, forced, hearingImpaired: dispositions.has('hearing_impaired') };
}
