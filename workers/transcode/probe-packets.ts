import { sourceRefused } from './errors.ts';
import { errorText } from './ffmpeg-errors.ts';
import { sourceInput } from './probe-streams.ts';
import { type FfmpegRuntime, runFfprobe } from './run-ffmpeg.ts';
import type { Demuxer } from './sniff-container.ts';

export interface VideoPackets {
  /** All packets, also those an edit list hides. */
  readonly count: number;
  /** Presentation times of shown frames, sorted. */
  readonly ptsTicks: Float64Array;
  /** Coded bytes of each of them, in the same order. */
  readonly frameBytes: Float64Array;
  readonly keyframeTicks: Float64Array;
  readonly warnings: readonly string[];
}

/** What demuxers say when the file ends before its own promise. */
const cutShort = /partial file|ended prematurely|truncat|end of file/i;

interface PacketSink {
  push(chunk: Buffer): void;
  take(): Omit<VideoPackets, 'warnings'> & { corrupt: number; over: boolean };
}

/** Reads `pts,dts,size,flags` lines; a missing presentation time falls back to the decode time (AVI has only that). */
function createPacketSink(maxFrames: number): PacketSink {
  const pts: number[] = [];
  const bytes: number[] = [];
  const keys: number[] = [];
  let rest = '';
  let count = 0;
  let corrupt = 0;
  const read = (line: string) => {
    const [ptsText = '', dtsText = '', size = '', flags = ''] = line.split(',');
    if (ptsText === '') return;
    count++;
    const ticks = Number(ptsText === 'N/A' ? dtsText : ptsText);
    if (flags.includes('C')) corrupt++;
    if (!Number.isFinite(ticks) || flags.includes('D') || count > maxFrames) return;
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
        ptsTicks: Float64Array.from(order, (index) => pts[index] ?? 0),
        frameBytes: Float64Array.from(order, (index) => bytes[index] ?? 0),
        keyframeTicks: Float64Array.from(keys).sort(),
      };
    },
  };
}

/**
 * Counts and times every packet of the video stream: what a file holds, where its header only says.
 * INVALID_ARGUMENT SOURCE_TRUNCATED, SOURCE_UNREADABLE, SOURCE_TOO_LARGE (over `maxFrames`).
 */
export async function readPackets(
  runtime: FfmpegRuntime,
  demuxer: Demuxer,
  path: string,
  streamIndex: number,
  maxFrames: number,
): Promise<VideoPackets> {
  const sink = createPacketSink(maxFrames);
  const show = ['-select_streams', String(streamIndex), '-show_entries', 'packet=pts,dts,size,flags'];
  const args = [...show, '-print_format', 'csv=p=0', ...sourceInput(demuxer, path)];
  const end = await runFfprobe(runtime, args, sink.push);
  const { corrupt, over, ...packets } = sink.take();
  const said = end.errorLines.map(errorText);
  const cut = said.find((line) => cutShort.test(line));
  if (cut) throw sourceRefused('SOURCE_TRUNCATED', `the file ends too early (${cut})`);
  if (end.exitCode !== 0) throw sourceRefused('SOURCE_UNREADABLE', said[0] ?? 'its packets cannot be read');
  if (corrupt > 0)
    throw sourceRefused('SOURCE_UNREADABLE', `${corrupt} of ${packets.count} packets are marked corrupt`);
  if (over) throw sourceRefused('SOURCE_TOO_LARGE', `more than the ${maxFrames} frames allowed`);
  return { ...packets, warnings: said };
}
