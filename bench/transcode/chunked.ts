import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../server/core/clock.ts';
import type { JobRecord } from '../../server/jobs/job-record.ts';
import { chunkArguments, rungOutput } from '../../workers/transcode/encode/chunk-command.ts';
import { resolveFfmpeg } from '../../workers/transcode/ffmpeg/ffmpeg-binaries.ts';
import { defaultLimits } from '../../workers/transcode/ffmpeg/run-ffmpeg.ts';
import { chooseRungs } from '../../workers/transcode/plan/ladder.ts';
import { planTranscode, type TranscodePlan } from '../../workers/transcode/plan/plan.ts';
import type { EncodeSet, TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import { probeSource } from '../../workers/transcode/source/probe.ts';
import { defaultSourceLimits } from '../../workers/transcode/source/source-probe.ts';
import type { BenchRow } from '../report.ts';
import { mean } from '../statistics.ts';
import { type Spent, spend } from './cpu-time.ts';
import { clip, ffmpeg, longSeconds, longSource } from './sources.ts';
import { type TranscodeStack, workerCount } from './stack.ts';

const titleId = 'titles/bench-long';
const ladder = [{ height: 720, crf: 23, maxrateKbps: 3500 }];
const smallStep = { height: 144, crf: 28, maxrateKbps: 300 };

/** From the first start of a chunk to the last end of one, in seconds, and how many they are. */
function chunkPhase(parts: readonly JobRecord[]): { seconds: number; chunks: number } {
  const chunks = parts.filter((part) => part.kind === 'encode-chunk');
  const starts = chunks.map((part) => part.attempts[0]?.startMs ?? 0);
  const ends = chunks.map((part) => part.attempts.at(-1)?.endMs ?? part.endMs ?? 0);
  return { seconds: (Math.max(...ends) - Math.min(...starts)) / 1000, chunks: chunks.length };
}

/** The plan that a job makes of a source, made here. */
async function planOf(source: string): Promise<TranscodePlan> {
  const searchPath = process.env['PATH'] ?? '';
  const binaries = await resolveFfmpeg({ searchPath });
  const signal = new AbortController().signal;
  const runtime = { binaries, searchPath, limits: defaultLimits, clock: systemClock, signal, cwd: tmpdir() };
  const probe = await probeSource(runtime, source, defaultSourceLimits);
  return planTranscode({ probe, sourceKey: 'a', sourceSha256: 'b', encoderBuild: 'c', ladder });
}

/** The same rung of the same source by one ffmpeg with two threads, in one piece. */
async function encodeWhole(source: string, path: string): Promise<Spent> {
  const plan = await planOf(source);
  const whole = { start: 0, end: plan.frameCount, seekSeconds: null, sourceBytes: 0 };
  const outputs = plan.rungs.map((rung) => rungOutput(plan, rung, path));
  const args = chunkArguments(plan, whole, source, outputs, false);
  const threaded = args.map((arg, index) => (/^-(?:filter_complex_)?threads/.test(args[index - 1] ?? '') ? '2' : arg));
  return spend(() => ffmpeg(threaded));
}

/** SSIM of luma of each frame beside the source's. */
async function frameScores(source: string, encoded: string): Promise<number[]> {
  const graph = '[0:v:0]setpts=N/(25*TB)[a];[1:v:0]setpts=N/(25*TB)[b];[a][b]ssim=stats_file=-';
  const report = await ffmpeg(['-i', encoded, '-i', source, '-filter_complex', graph, '-f', 'null', '-']);
  return [...report.matchAll(/ Y:([\d.]+)/g)].map((match) => Number(match[1]));
}

async function joinRows(plan: TranscodePlan, source: string, chunked: string, whole: string): Promise<BenchRow[]> {
  const ours = await frameScores(source, chunked);
  const theirs = await frameScores(source, whole);
  const apart = ours.map((score, index) => score - (theirs[index] ?? 0));
  const edges = new Set(plan.chunks.slice(1).flatMap(({ start }) => [start - 1, start]));
  const peer = (values: readonly number[]) => ({ name: 'whole encode', value: mean(values) });
  const atEdges = (values: readonly number[]) => values.filter((_value, frame) => edges.has(frame));
  return [
    { measure: 'SSIM of the chunked title, mean of frames', ours: mean(ours), unit: '', peer: peer(theirs) },
    { measure: 'the same, two frames at each join', ours: mean(atEdges(ours)), unit: '', peer: peer(atEdges(theirs)) },
    { measure: 'SSIM lost by the worst frame', ours: Math.max(0, -Math.min(...apart)), unit: '' },
  ];
}

export interface ChunkedBench {
  readonly rows: readonly BenchRow[];
  readonly plan: TranscodePlan;
  readonly planKey: string;
}

/** Workers live for days: what they pay for once, as they load and compile their code, is no cost of a title. */
async function warmUp(stack: TranscodeStack): Promise<void> {
  await stack.objects.putFile('sources/clip', clip);
  await stack.run('transcode', { titleId: 'titles/bench-clip', sourceKey: 'sources/clip', ladder: [smallStep] });
}

/** Seconds of the chunks of a title that was made before, all of them encoded once more. */
async function encodeAgain(stack: TranscodeStack, params: { readonly titleId: string }): Promise<number> {
  for (const prefix of ['transcode/rungs/', `${params.titleId}/`]) {
    for (const { key } of await stack.objects.list(prefix, { limit: 1000 })) await stack.objects.delete(key);
  }
  return chunkPhase(await stack.partsOf(await stack.run('transcode', { ...params }))).seconds;
}

/** Processor seconds of the thumbnails of a title, made once more. */
async function thumbnailCpu(stack: TranscodeStack, planKey: string): Promise<number> {
  for (const { key } of await stack.objects.list('transcode/images/', { limit: 1000 })) await stack.objects.delete(key);
  const before = stack.workerCpu();
  await stack.run('make-thumbnails', { plan: planKey });
  return stack.workerCpu().children - before.children;
}

/** A few minutes of 720p as chunks over two worker processes beside one ffmpeg, what the jobs around it cost, and the joins. */
export async function chunkedRows(stack: TranscodeStack): Promise<ChunkedBench> {
  const source = await longSource();
  await stack.objects.putFile('sources/long', source);
  const params = { titleId, sourceKey: 'sources/long', ladder };
  const whole = join(stack.objectsDir, 'whole.mp4');
  await warmUp(stack);
  const singles = [await encodeWhole(source, whole)];
  const before = stack.workerCpu();
  const job = await stack.run('transcode', params);
  const after = stack.workerCpu();
  singles.push(await encodeWhole(source, whole));
  const first = chunkPhase(await stack.partsOf(job));
  const chunked = { ...first, seconds: Math.min(first.seconds, await encodeAgain(stack, params)) };
  singles.push(await encodeWhole(source, whole));
  // In turns, and the best of each side counts: what else the machine does only ever adds to a time.
  const best = (read: (spent: Spent) => number) => Math.min(...singles.map(read));
  const single = { wallSeconds: best((spent) => spent.wallSeconds), childSeconds: best((spent) => spent.childSeconds) };
  const result = job.result as unknown as TranscodeResult;
  const set = await stack.readJson<EncodeSet>(result.encodeSetKey);
  const plan = await stack.readJson<TranscodePlan>(set.planObjectKey);
  const thumbnails = await thumbnailCpu(stack, set.planObjectKey);
  const encodeCpu = after.children - before.children - thumbnails;
  const own = after.own - before.own;
  // Once more with every encode there already: what is left is the jobs themselves.
  await stack.objects.delete(result.encodeSetKey);
  const idle = chunkPhase(await stack.partsOf(await stack.run('transcode', params)));
  const perChunkMs = (idle.seconds * workerCount * 1000) / idle.chunks;
  const name = 'ffmpeg -threads 2';
  const wallRatio = single.wallSeconds / chunked.seconds;
  const overhead = (100 * own) / (own + encodeCpu + thumbnails);
  const playlist = join(stack.objectsDir, `${set.files[0]?.objectKey}index.m3u8`);
  const rows: BenchRow[] = [
    {
      measure: `CPU of ${longSeconds} s of 720p in ${chunked.chunks} chunks, ffmpeg and probe`,
      ours: encodeCpu,
      unit: 'CPU-s',
      peer: { name, value: single.childSeconds },
      ratio: encodeCpu / single.childSeconds,
    },
    {
      measure: 'speed of the same on 2 workers of 1 thread',
      ours: longSeconds / chunked.seconds,
      unit: 'x real time',
      peer: { name, value: longSeconds / single.wallSeconds },
      ratio: wallRatio,
      goal: '≥ 1.00x',
      reached: wallRatio >= 1,
    },
    { measure: 'CPU of its thumbnails', ours: thumbnails, unit: 'CPU-s' },
    {
      measure: 'CPU of the workers themselves, packaging included',
      ours: overhead,
      unit: '% of all',
      goal: '< 3 %',
      reached: overhead < 3,
    },
    {
      measure: 'jobs around a chunk, nothing to encode',
      ours: perChunkMs,
      unit: 'ms of a slot',
      goal: '< 150 ms',
      reached: perChunkMs < 150,
    },
    ...(await joinRows(plan, source, playlist, whole)),
  ];
  return { rows, plan, planKey: set.planObjectKey };
}

/** Every rung of one chunk in one process, beside a process for each: the decode and half of the scaling are shared. */
export async function oneProcessRows(stack: TranscodeStack, long: TranscodePlan): Promise<BenchRow[]> {
  const source = await longSource();
  const steps = [720, 540, 360, 270].map((height, index) => ({ height, crf: 23 + index, maxrateKbps: 4000 >> index }));
  const plan = { ...long, rungs: chooseRungs(steps, long.video.display, long.rate) };
  const chunk = plan.chunks[2] ?? { start: 0, end: plan.frameCount, seekSeconds: null, sourceBytes: 0 };
  const outputs = plan.rungs.map((rung) => rungOutput(plan, rung, join(stack.objectsDir, `${rung.id}.mp4`)));
  const together = await spend(() => ffmpeg(chunkArguments(plan, chunk, source, outputs, true)));
  const alone = await spend(async () => {
    for (const output of outputs) await ffmpeg(chunkArguments(plan, chunk, source, [output], true));
  });
  const saved = 100 * (1 - together.childSeconds / alone.childSeconds);
  return [
    {
      measure: `CPU of ${outputs.length} rungs of a chunk in one process`,
      ours: together.childSeconds,
      unit: 'CPU-s',
      peer: { name: 'a process a rung', value: alone.childSeconds },
      ratio: together.childSeconds / alone.childSeconds,
      goal: '≤ 0.70x',
      reached: saved >= 30,
    },
  ];
}
