import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

// A process of mocha runs the hooks of its root after each file, and keeps its modules for the next: it goes with that.
const folder = mkdtempSync(join(tmpdir(), 'showrunner-sources-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

const made = new Map<string, { readonly args: string; readonly path: Promise<string> }>();

/** Runs ffmpeg once per run of the tests; the last argument is the file's name in the shared folder of sources. */
export function makeSource(name: string, args: readonly string[]): Promise<string> {
  const known = made.get(name);
  // Files of tests share a process in one order or another: a name that means two sources would pass in one of them.
  if (known && known.args !== args.join(' ')) throw new Error(`${name} is the name of another source`);
  if (known) return known.path;
  const work = (async () => {
    const path = join(folder, name);
    if (!existsSync(path)) await ffmpeg([...args, path]);
    return path;
  })();
  made.set(name, { args: args.join(' '), path: work });
  return work;
}

/** Runs the system's ffmpeg and gives standard output. */
export async function ffmpeg(args: readonly string[]): Promise<Buffer> {
  const options = { encoding: 'buffer', maxBuffer: 256 * 1024 ** 2 } as const;
  const { stdout } = await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args], options);
  return stdout;
}

export async function ffprobe(args: readonly string[]): Promise<string> {
  const { stdout } = await run('ffprobe', ['-v', 'error', ...args], { maxBuffer: 64 * 1024 ** 2 });
  return stdout;
}

/** lavfi input of frames that carry their number as 16 vertical bars, black for 0 and white for 1, lowest bit left. */
export function numberedFrames(rate: string, seconds: number): string {
  const bars = `geq=lum='if(mod(floor(N/pow(2,X)),2),220,30)':cb=128:cr=128`;
  const grown = 'scale=256:144:flags=neighbor,setsar=1,format=yuv420p';
  return `color=black:s=16x2:r=${rate}:d=${seconds},format=yuv444p,${bars},${grown}`;
}

/** H.264 options for sources: fast, with B-frames and a GOP that never matches the output's. */
export const sourceCodec = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-g', '37', '-crf', '18'] as const;

/** The numbers that the frames of a file or playlist carry, in order of presentation. */
export async function readFrameNumbers(input: string): Promise<number[]> {
  const bars = ['-vf', 'scale=16:1:flags=area,format=gray', '-fps_mode', 'passthrough'];
  const pixels = await ffmpeg(['-i', input, '-map', '0:v:0', ...bars, '-f', 'rawvideo', '-']);
  const numbers: number[] = [];
  for (let at = 0; at + 16 <= pixels.length; at += 16) {
    let value = 0;
    for (let bit = 0; bit < 16; bit++) if ((pixels[at + bit] ?? 0) > 125) value += 2 ** bit;
    numbers.push(value);
  }
  return numbers;
}

export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
