import { join } from 'node:path';
import { ffmpegFailed } from '../errors.ts';
import { type FfmpegRuntime, runFfmpeg } from '../ffmpeg/run-ffmpeg.ts';
import { judgeEncode } from './judge-encode.ts';

/** Loudness of a track by EBU R 128; null where it is silent or too short to have one (under 0.4 s). */
export type Loudness = {
  readonly integratedLufs: number | null;
  readonly rangeLu: number;
  readonly truePeakDb: number | null;
  readonly thresholdLufs: number | null;
};

/** How a track was brought to its loudness. */
export type LoudnessReport = {
  readonly targetLufs: number;
  readonly source: Loudness;
  /** Of the encoded track, decoded again. */
  readonly result: Loudness;
  /** `gain`: one gain for all of it; `dynamic`: peaks left no room for that; `none`: silence stays silence. */
  readonly mode: 'gain' | 'dynamic' | 'none';
  readonly gainDb: number;
};

/** Highest true peak that may come out, EBU R 128: -1 dBTP, and half a decibel for the coder's ripple. */
const peakCeilingDb = -1.5;

const measured = /"(input_i|input_tp|input_lra|input_thresh)"\s*:\s*"([^"]+)"/g;

/** Measures what comes out of a filter chain that ends in `[a]`, or of a file's first audio stream. */
export async function measureLoudness(
  runtime: FfmpegRuntime,
  input: readonly string[],
  chain: string,
  options: { timeoutMs: number; onOutTimeMs?: (ms: number) => void },
): Promise<Loudness> {
  const end = await runFfmpeg(runtime, {
    // The figures are told as information, which is not printed by default.
    args: [
      ...['-loglevel', 'level+info', '-nostats', ...input, '-filter_complex_threads', '1'],
      ...['-filter_complex', `${chain},loudnorm=I=-23:TP=-1:LRA=20:print_format=json[m]`, '-map', '[m]'],
      ...['-f', 'null', join(runtime.cwd, 'none')],
    ],
    timeoutMs: options.timeoutMs,
    onProgress: ({ outTimeMs }) => options.onOutTimeMs?.(outTimeMs),
  });
  const values = new Map(
    [...end.errorLines.join('\n').matchAll(measured)].map(([, name = '', text]) => [name, Number(text)]),
  );
  if (end.exitCode !== 0 || values.size < 4) {
    const errorLines = end.errorLines.filter((line) => /\[(?:error|fatal)\]/.test(line));
    const { error } = judgeEncode('audio', { ...end, errorLines }, false, true);
    throw error ?? ffmpegFailed('measuring loudness', 'no figures', end.errorLines.at(-1) ?? '');
  }
  const finite = (name: string) => {
    const value = values.get(name) ?? Number.NaN;
    return Number.isFinite(value) ? value : null;
  };
  const integratedLufs = finite('input_i');
  return {
    // -70 is where the gate closes: nothing was heard.
    integratedLufs: integratedLufs !== null && integratedLufs > -70 ? integratedLufs : null,
    rangeLu: finite('input_lra') ?? 0,
    truePeakDb: finite('input_tp'),
    thresholdLufs: finite('input_thresh'),
  };
}

/** The second pass: what to do to audio of this loudness, and the filter that does it (empty = nothing). */
export function loudnessFilter(
  source: Loudness,
  targetLufs: number,
): Pick<LoudnessReport, 'mode' | 'gainDb'> & { readonly filter: string } {
  const { integratedLufs, truePeakDb, rangeLu, thresholdLufs } = source;
  if (integratedLufs === null || truePeakDb === null) return { mode: 'none', gainDb: 0, filter: '' };
  const gainDb = Math.round((targetLufs - integratedLufs) * 100) / 100;
  if (truePeakDb + gainDb <= peakCeilingDb)
    return { mode: 'gain', gainDb, filter: `volume=${gainDb}dB:precision=float` };
  const figures = `measured_I=${integratedLufs}:measured_TP=${truePeakDb}:measured_LRA=${rangeLu}:measured_thresh=${thresholdLufs ?? -70}`;
  const aims = `I=${targetLufs}:TP=${peakCeilingDb}:LRA=${Math.min(20, Math.max(7, rangeLu))}`;
  // In ffmpeg 7.0 its times jump ahead by 88 ms midway, though its samples go on: they are counted anew.
  return { mode: 'dynamic', gainDb, filter: `loudnorm=${aims}:${figures}:linear=false,asetpts=N/SR/TB` };
}
