import { type FfmpegRuntime, runFfprobe } from '../ffmpeg/run-ffmpeg.ts';

/** Transfer of pictures brighter than the screen's white: SMPTE ST 2084 or hybrid log-gamma; named as HLS names them. */
export type HdrRange = 'PQ' | 'HLG';

/** What a screen must know of HDR pictures. */
export type HdrSignal = {
  readonly range: HdrRange;
  /** ffmpeg's names. */
  readonly primaries: string;
  readonly matrix: string;
  /** Screen it was graded on (SMPTE ST 2086) as x265 writes it; undefined = not said. */
  readonly masterDisplay?: string;
  /** MaxCLL and MaxFALL in cd/m² (CTA-861.3), e.g. `1000,400`. */
  readonly lightLevel?: string;
};

const ranges: Readonly<Record<string, HdrRange>> = { smpte2084: 'PQ', 'arib-std-b67': 'HLG' };

/** By ffmpeg's name of a transfer; undefined = the picture is SDR. */
export function hdrRangeOf(transfer: string): HdrRange | undefined {
  return ranges[transfer];
}

/** ffmpeg's name and number (ISO/IEC 23091-2) of each transfer. */
export const hdrTransfers: Readonly<Record<HdrRange, { readonly name: string; readonly cicp: number }>> = {
  PQ: { name: 'smpte2084', cicp: 16 },
  HLG: { name: 'arib-std-b67', cicp: 18 },
};

/** Numbers of ISO/IEC 23091-2; what is not here is published as BT.2020, which HDR nearly always is. */
export const hdrPrimaries: Readonly<Record<string, number>> = { bt709: 1, bt2020: 9, smpte432: 12 };
/** Likewise of matrices; what is not here is published as BT.2020 with non-constant luminance. */
export const hdrMatrices: Readonly<Record<string, number>> = { bt709: 1, bt2020nc: 9 };

type Fields = Readonly<Record<string, unknown>>;

/** `34000/50000` in units of 1/`scale`; undefined when it is no such fraction. */
function unitsOf(fields: Fields, name: string, scale: number): number | undefined {
  const [num = Number.NaN, den = 1] = String(fields[name]).split('/').map(Number);
  const value = Math.round((num * scale) / den);
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** x265 counts chromaticities in 0.00002 and luminances in 0.0001 cd/m². */
function masterDisplayOf(fields: Fields): string | undefined {
  const points = ['green', 'blue', 'red', 'white_point'].map((name) => {
    return [`${name}_x`, `${name}_y`].map((each) => unitsOf(fields, each, 50_000));
  });
  const light = ['max_luminance', 'min_luminance'].map((name) => unitsOf(fields, name, 10_000));
  if ([...points.flat(), ...light].includes(undefined)) return undefined;
  const names = ['G', 'B', 'R', 'WP'];
  return `${points.map((pair, index) => `${names[index]}(${pair})`).join('')}L(${light})`;
}

/** What the first frame of an HDR stream says of itself, as `ffprobe -show_frames` prints it. */
export function parseHdrSignal(range: HdrRange, answer: unknown): HdrSignal {
  const [frame = {}] = ((answer as { frames?: Fields[] }).frames ?? []) as Fields[];
  const sides = Array.isArray(frame['side_data_list']) ? (frame['side_data_list'] as Fields[]) : [];
  const of = (type: string) => sides.find((side) => side['side_data_type'] === type) ?? {};
  const masterDisplay = masterDisplayOf(of('Mastering display metadata'));
  const light = of('Content light level metadata');
  const levels = ['max_content', 'max_average'].map((name) => unitsOf(light, name, 1));
  const named = (name: string, known: Readonly<Record<string, number>>, other: string) =>
    String(frame[name]) in known ? String(frame[name]) : other;
  return {
    range,
    primaries: named('color_primaries', hdrPrimaries, 'bt2020'),
    matrix: named('color_space', hdrMatrices, 'bt2020nc'),
    ...(masterDisplay === undefined ? {} : { masterDisplay }),
    ...(levels.includes(undefined) ? {} : { lightLevel: levels.join() }),
  };
}

/** Reads the first frame of a stream. What cannot be read is left out: the pictures decide, and they are checked later. */
export async function readHdrSignal(
  runtime: FfmpegRuntime,
  range: HdrRange,
  input: readonly string[],
  streamIndex: number,
): Promise<HdrSignal> {
  const parts: Buffer[] = [];
  const entries = 'frame=color_primaries,color_space:frame_side_data';
  const first = ['-select_streams', String(streamIndex), '-read_intervals', '%+#1', '-show_entries', entries];
  await runFfprobe(runtime, ['-print_format', 'json', ...first, ...input], (chunk) => parts.push(chunk));
  const text = Buffer.concat(parts).toString('utf8');
  return parseHdrSignal(range, text.trim() === '' ? {} : JSON.parse(text));
}

/** Parameters that x265 writes into its headers. */
export function x265HdrParams({ range, primaries, matrix, masterDisplay, lightLevel }: HdrSignal): string[] {
  return [
    ...[`colorprim=${primaries}`, `transfer=${hdrTransfers[range].name}`, `colormatrix=${matrix}`, 'range=limited'],
    ...(range === 'PQ' ? ['hdr10-opt=1'] : []),
    ...(masterDisplay === undefined ? [] : [`master-display=${masterDisplay}`]),
    ...(lightLevel === undefined ? [] : [`max-cll=${lightLevel}`]),
  ];
}

/** Options of ffmpeg that say the same to the muxer, whose `colr` box players read. */
export function hdrTags({ range, primaries, matrix }: HdrSignal): string[] {
  const transfer = ['-color_trc:v', hdrTransfers[range].name];
  return ['-color_primaries:v', primaries, ...transfer, '-colorspace:v', matrix, '-color_range:v', 'tv'];
}
