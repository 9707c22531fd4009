import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FfmpegRuntime, runFfmpeg } from '../ffmpeg/run-ffmpeg.ts';
import { sourceInput } from './probe-streams.ts';
import type { Demuxer } from './sniff-container.ts';

/** Frames looked at from the start: 10 s of PAL. */
const sampleFrames = 250;
/** With less than this share of judged frames woven, the marks are taken for the container's habit. */
const leastShare = 0.1;
const logName = 'idet.txt';

/**
 * True when a source that is marked as interlaced is: its lines are of different moments in enough of its frames.
 * Film carried in interlaced marks has two equal moments a frame; to double its rate would show each picture twice.
 * Errors of runProcess; a source that cannot be decoded counts as marked, and the encode will tell why.
 */
export async function detectInterlace(
  runtime: FfmpegRuntime,
  demuxer: Demuxer,
  path: string,
  streamIndex: number,
): Promise<boolean> {
  const judge = `idet,metadata=mode=print:key=lavfi.idet.multiple.current_frame:file=${logName}`;
  const input = ['-threads', '1', ...sourceInput(demuxer, path)];
  const args = ['-map', `0:${streamIndex}`, '-frames:v', String(sampleFrames), '-vf', judge, '-f', 'null', '-'];
  await runFfmpeg(runtime, { args: [...input, ...args], timeoutMs: 600_000 });
  const log = await readFile(join(runtime.cwd, logName), 'latin1').catch(() => '');
  const verdicts = [...log.matchAll(/current_frame=(\w+)/g)].map((match) => match[1]);
  const count = (wanted: string) => verdicts.filter((verdict) => verdict === wanted).length;
  const woven = count('tff') + count('bff');
  const judged = woven + count('progressive');
  return judged === 0 || woven / judged >= leastShare;
}
