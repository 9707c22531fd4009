import { type FfmpegRuntime, runFfprobe } from '../ffmpeg/run-ffmpeg.ts';
import { sourceInput } from './probe-streams.ts';
import type { Demuxer } from './sniff-container.ts';

/** Bound of what is kept of ffprobe's lines. */
const maxLineBytes = 4096;

/** Runs ffprobe and hands over each line that it prints; true = no complaint. Errors of runProcess. */
async function readLines(
  runtime: FfmpegRuntime,
  args: readonly string[],
  onLine: (fields: readonly string[]) => void,
): Promise<boolean> {
  let rest = '';
  const end = await runFfprobe(runtime, ['-print_format', 'csv=p=0', ...args], (chunk) => {
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = (lines.pop() ?? '').slice(0, maxLineBytes);
    for (const line of lines) onLine(line.split(','));
  });
  return end.exitCode === 0 && end.errorLines.length === 0;
}

/**
 * Ticks by which decoded pictures come later than the packets' times of decoding: what B-frames put between the two
 * where a file has no presentation times. `firstTicks` is the time of the first packet. Errors of runProcess.
 */
export async function readDecodeDelay(
  runtime: FfmpegRuntime,
  demuxer: Demuxer,
  path: string,
  { index, firstTicks }: { readonly index: number; readonly firstTicks: number },
): Promise<number> {
  let first: number | undefined;
  const show = ['-select_streams', String(index), '-show_entries', 'frame=best_effort_timestamp'];
  await readLines(runtime, [...show, '-read_intervals', '%+#16', ...sourceInput(demuxer, path)], ([ticks = '']) => {
    if (ticks !== '' && Number.isFinite(Number(ticks))) first ??= Number(ticks);
  });
  return Math.max(0, (first ?? firstTicks) - firstTicks);
}

/**
 * Seconds on the source's clock at which the last of the given audio streams ends, as their packets say; undefined where
 * none goes on at `fromSeconds`. Reads from there on only, if the container can seek. Errors of runProcess.
 */
export async function readAudioEnd(
  runtime: FfmpegRuntime,
  demuxer: Demuxer,
  path: string,
  { indexes, fromSeconds }: { readonly indexes: readonly number[]; readonly fromSeconds: number },
): Promise<number | undefined> {
  if (indexes.length === 0) return undefined;
  const wanted = new Set(indexes.map(String));
  let end: number | undefined;
  const show = ['-select_streams', 'a', '-show_entries', 'packet=stream_index,pts_time,duration_time,flags'];
  const read = (interval: readonly string[]) =>
    readLines(runtime, [...show, ...interval, ...sourceInput(demuxer, path)], ([index = '', pts, duration, flags]) => {
      const ends = Number(pts) + (Number(duration) || 0);
      if (!wanted.has(index) || flags?.includes('D') || !Number.isFinite(ends)) return;
      end = Math.max(end ?? ends, ends);
    });
  const from = Math.max(0, fromSeconds).toFixed(3);
  if (!(await read(['-read_intervals', `${from}%`]))) await read([]);
  return end !== undefined && end > fromSeconds ? end : undefined;
}
