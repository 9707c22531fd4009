import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Kept from run to run: making them takes longer than some benches. */
const folder = join(tmpdir(), 'showrunner-bench-sources');
/** The clip that ships with showrunner. */
export const clip = resolve(import.meta.dirname, '../../data/video/big-buck-bunny-5s-720p.mp4');

/** Runs the system's ffmpeg; gives standard output. */
export async function ffmpeg(args: readonly string[]): Promise<string> {
  const { stdout } = await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args], { maxBuffer: 64 * 1024 ** 2 });
  return stdout;
}

async function made(name: string, args: readonly string[]): Promise<string> {
  const path = join(folder, name);
  if (existsSync(path)) return path;
  await mkdir(folder, { recursive: true });
  const half = join(folder, `half-${process.pid}-${name}`);
  await ffmpeg([...args, '-an', '-c:v', 'libx264', '-preset', 'veryfast', '-crf', '14', '-g', '37', half]);
  await rename(half, path);
  return path;
}

/** The clip over and over, each pass in other colours and framing, so that no GOP comes twice. */
function looped(seconds: number, more = ''): string[] {
  const pan = `crop=1216:684:x='32+32*sin(t/5)':y='18+18*cos(t/7)',scale=1280:720`;
  const turns = Math.ceil(seconds / 5.28);
  const inputs = ['-stream_loop', String(turns), '-i', clip, '-t', String(seconds)];
  return [...inputs, '-vf', `hue=h='t*5':s='1+0.2*sin(t/3)',${pan},setsar=1${more}`];
}

/** Ten chunks of 384 frames, in seconds. */
export const longSeconds = 153.6;

/** 720p at 25 frames a second. */
export function longSource(): Promise<string> {
  return made('ten-chunks.mp4', looped(longSeconds));
}

const contentSeconds = '10.24';

/** Pictures from easy to hard, 10.24 s of 720p at 25 frames a second, by name. */
export const contents = {
  flat: () => {
    const gradient = 'gradients=s=1280x720:r=25:speed=0.02:seed=7:nb_colors=4';
    return made('flat.mp4', ['-f', 'lavfi', '-i', gradient, '-t', contentSeconds]);
  },
  cartoon: () => made('cartoon.mp4', looped(Number(contentSeconds))),
  detail: () => made('detail.mp4', ['-f', 'lavfi', '-i', 'mandelbrot=s=1280x720:r=25', '-t', contentSeconds]),
  grain: () => made('grain.mp4', looped(Number(contentSeconds), ',noise=alls=14:allf=t')),
} as const;
