import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { scoreFailed } from '../errors.ts';
import { type FfmpegRuntime, runFfmpeg } from '../ffmpeg/run-ffmpeg.ts';
import type { DisplaySize } from '../plan/ladder.ts';
import type { Rational } from '../rational.ts';
import { type Metric, metricLog } from './metric.ts';

interface ScoreWork {
  readonly metric: Metric;
  /** Pictures of the reference size at the constant rate. */
  readonly reference: string;
  /** Files to compare, frame i against frame i. */
  readonly distorted: readonly string[];
  readonly size: DisplaySize;
  readonly rate: Rational;
  readonly frames: number;
  readonly onProgress?: (fraction: number) => void;
}

interface PictureScore {
  /** Mean over the frames looked at: SSIM 0..1 of luma, or VMAF 0..100. */
  readonly mean: number;
  readonly worst: number;
}

/** SSIM looks at every third frame: odd, so that it meets frames of every kind of a B pyramid. */
const ssimEvery = 3;
/** VMAF needs neighbouring frames for its motion term; it skips the rest of the work on four of five. */
const vmafEvery = 5;

function metricFilter(metric: Metric, log: string): string {
  return metric === 'ssim'
    ? `ssim=stats_file=${log}`
    : `libvmaf=log_path=${log}:log_fmt=json:n_subsample=${vmafEvery}:n_threads=1`;
}

/** Times from frame numbers on both sides: comparing by the files' own times is how wrong scores are made. */
function graph(work: ScoreWork, cwd: string): string {
  const { metric, rate, size } = work;
  const ordered = `setpts=N/(${rate.num}/${rate.den}*TB)`;
  // At least one frame of the shortest clip is looked at.
  const picked = metric === 'ssim' ? `select='not(mod(n,${ssimEvery}))',` : '';
  const copies = work.distorted.map((_path, index) => `[r${index}]`).join('');
  const reference = `[0:v:0]${picked}${ordered},split=${work.distorted.length}${copies}`;
  const pairs = work.distorted.map((_path, index) => {
    const scaled = `scale=${size.width}:${size.height}:flags=bicubic,setsar=1`;
    const log = basename(metricLog(cwd, metric, index));
    return `[${index + 1}:v:0]${picked}${ordered},${scaled}[d${index}];[d${index}][r${index}]${metricFilter(metric, log)}[o${index}]`;
  });
  return [reference, ...pairs].join(';');
}

async function readScore(metric: Metric, path: string): Promise<PictureScore> {
  const text = await readFile(path, 'latin1').catch(() => '');
  const values =
    metric === 'ssim'
      ? [...text.matchAll(/ Y:([\d.]+)/g)].map((match) => Number(match[1]))
      : [...text.matchAll(/"vmaf": ([\d.]+)/g)].map((match) => Number(match[1]));
  if (values.length === 0) throw scoreFailed(basename(path), 'the metric wrote no frames');
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, worst: Math.min(...values) };
}

/**
 * Scores files against one reference in a single process: the reference is decoded once.
 * INTERNAL SCORE_FAILED; errors of runProcess.
 */
export async function scorePictures(
  runtime: FfmpegRuntime,
  work: ScoreWork,
): Promise<{ scores: PictureScore[]; cpuSeconds: number }> {
  const inputs = [work.reference, ...work.distorted].flatMap((path) => ['-threads', '1', '-i', path]);
  const outputs = work.distorted.flatMap((_path, index) => ['-map', `[o${index}]`, '-f', 'null', '-']);
  const expected = work.metric === 'ssim' ? Math.ceil(work.frames / ssimEvery) : work.frames;
  const end = await runFfmpeg(runtime, {
    args: [...inputs, '-filter_complex_threads', '1', '-filter_complex', graph(work, runtime.cwd), ...outputs],
    timeoutMs: 3_600_000,
    onProgress: ({ frames }) => work.onProgress?.(Math.min(1, frames / expected)),
  });
  if (end.exitCode !== 0) throw scoreFailed(work.metric, end.errorLines[0] ?? `exit code ${end.exitCode}`);
  const logs = work.distorted.map((_path, index) => metricLog(runtime.cwd, work.metric, index));
  return { scores: await Promise.all(logs.map((log) => readScore(work.metric, log))), cpuSeconds: end.cpuSeconds };
}
