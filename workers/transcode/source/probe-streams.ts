import { sourceRefused } from '../errors.ts';
import { errorText } from '../ffmpeg/ffmpeg-errors.ts';
import { type FfmpegRuntime, runFfprobe } from '../ffmpeg/run-ffmpeg.ts';
import { parseRational, type Rational } from '../rational.ts';
import type { Demuxer } from './sniff-container.ts';

/** One stream as its headers describe it: to be believed only where packets cannot tell. */
export interface ProbedStream {
  readonly index: number;
  readonly type: string;
  readonly codec: string;
  readonly isDefault: boolean;
  readonly attachedPicture: boolean;
  readonly width: number;
  readonly height: number;
  readonly rotation: 0 | 90 | 180 | 270;
  readonly pixelAspect: Rational | undefined;
  readonly fieldOrder: string;
  readonly pixelFormat: string;
  readonly colorSpace: string;
  readonly colorPrimaries: string;
  readonly colorTransfer: string;
  readonly timeBase: Rational | undefined;
  readonly rates: readonly Rational[];
  /** Frames by the file's index; undefined where the format has none. */
  readonly frameCount: number | undefined;
  readonly channels: number;
  readonly channelLayout: string;
  readonly sampleRateHz: number;
  readonly language: string;
  /** What the file calls the stream, at most 100 characters of one line. */
  readonly title: string;
  /** Names of the dispositions that are set, e.g. `comment`, `forced`. */
  readonly dispositions: ReadonlySet<string>;
}

/** Bound of ffprobe's JSON: streams only, so a file needs thousands of streams to reach it. */
const maxJsonBytes = 4 * 1024 ** 2;

/** Input options for a source: explicit demuxer, only local files, the path never read as a URL. */
export function sourceInput(demuxer: Demuxer, path: string): string[] {
  return ['-protocol_whitelist', 'file', '-f', demuxer, '-i', `file:${path}`];
}

/** Stream headers of a source. INVALID_ARGUMENT SOURCE_UNREADABLE, SOURCE_TRUNCATED. */
export async function readStreams(
  runtime: FfmpegRuntime,
  demuxer: Demuxer,
  path: string,
): Promise<{ streams: ProbedStream[]; warnings: string[] }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const args = ['-print_format', 'json', '-show_streams', ...sourceInput(demuxer, path)];
  const end = await runFfprobe(runtime, args, (chunk) => {
    bytes += chunk.length;
    if (bytes <= maxJsonBytes) chunks.push(chunk);
  });
  const why = end.errorLines.map(errorText).at(0) ?? 'the headers cannot be read';
  if (end.exitCode !== 0 || bytes > maxJsonBytes) throw sourceRefused('SOURCE_UNREADABLE', why);
  const answer: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  const list = fieldsOf(answer)['streams'];
  const streams = (Array.isArray(list) ? list : []).map(streamOf);
  return { streams, warnings: end.errorLines.map(errorText) };
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function countOf(value: unknown): number {
  const count = Number(value);
  return Number.isSafeInteger(count) && count > 0 ? count : 0;
}

/** Clockwise quarter turns from the display matrix (ffprobe gives counter-clockwise degrees) or the old `rotate` tag. */
function rotationOf(stream: Fields, tags: Fields): 0 | 90 | 180 | 270 {
  const sides = Array.isArray(stream['side_data_list']) ? stream['side_data_list'].map(fieldsOf) : [];
  const matrix = sides.find((side) => side['rotation'] !== undefined)?.['rotation'];
  const degrees = matrix === undefined ? Number(tags['rotate'] ?? 0) : -Number(matrix);
  const turns = Number.isFinite(degrees) ? ((Math.round(degrees / 90) % 4) + 4) % 4 : 0;
  return ([0, 90, 180, 270] as const)[turns as 0 | 1 | 2 | 3];
}

function streamOf(value: unknown): ProbedStream {
  const stream = fieldsOf(value);
  const tags = fieldsOf(stream['tags']);
  const disposition = fieldsOf(stream['disposition']);
  const language = textOf(tags['language']).toLowerCase();
  const rates = [stream['r_frame_rate'], stream['avg_frame_rate']].map((rate) => parseRational(textOf(rate)));
  const type = textOf(stream['codec_type']);
  return {
    index: Number(stream['index'] ?? 0),
    type,
    codec: textOf(stream['codec_name']),
    isDefault: disposition['default'] === 1,
    attachedPicture: disposition['attached_pic'] === 1,
    width: countOf(stream['width']),
    height: countOf(stream['height']),
    rotation: rotationOf(stream, tags),
    pixelAspect: parseRational(textOf(stream['sample_aspect_ratio'])),
    fieldOrder: textOf(stream['field_order']),
    pixelFormat: textOf(stream['pix_fmt']),
    colorSpace: textOf(stream['color_space']),
    colorPrimaries: textOf(stream['color_primaries']),
    colorTransfer: textOf(stream['color_transfer']),
    timeBase: parseRational(textOf(stream['time_base'])),
    rates: rates.filter((rate) => rate !== undefined),
    frameCount: countOf(stream['nb_frames']) || undefined,
    channels: countOf(stream['channels']),
    channelLayout: textOf(stream['channel_layout']),
    sampleRateHz: countOf(stream['sample_rate']),
    language: language === 'und' ? '' : language,
    title: textOf(tags['title']).replaceAll(/\s+/g, ' ').trim().slice(0, 100),
    dispositions: new Set(Object.keys(disposition).filter((name) => disposition[name] === 1)),
  };
}
