import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonDigest } from '../../../server/core/canonical-json.ts';
import type { JobContext, JobKind } from '../../queue/job-kind.ts';
import { judgeEncode } from '../encode/judge-encode.ts';
import { encoderMismatch } from '../errors.ts';
import { runFfmpeg } from '../ffmpeg/run-ffmpeg.ts';
import { type PlanParams, parsePlanParams } from '../params.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import { loadPlan, sourcePath } from '../plan/plan-store.ts';
import { putSame } from '../put-same.ts';
import { toNumber } from '../rational.ts';
import { arePartsWhole, type StoredPart } from '../read-part.ts';
import { sourceInput } from '../source/probe-streams.ts';
import { findJson, putJsonOnce } from '../stored-json.ts';
import { runtimeFor, type TranscodeDeps } from '../transcode-deps.ts';
import { parseSrt } from './srt.ts';
import { fitCues, parseWebVtt, plainTags, writeWebVtt } from './webvtt.ts';

/** Commit record of a title's subtitles: whole WebVTT files, in the plan's order. */
export type TextRecord = {
  readonly tracks: readonly (StoredPart & { readonly id: string; readonly cues: number })[];
};

/** Text of a day-long title has some 10 MB; more is an attack or a fault. */
const maxFileBytes = 64 * 1024 ** 2;
const timeoutMs = 3_600_000;

function textArguments(plan: TranscodePlan, source: string, paths: readonly string[]): string[] {
  const outputs = plan.subtitles.flatMap(({ streamIndex, codec }, index) => [
    ...['-map', `0:${streamIndex}`, '-map_metadata', '-1', '-avoid_negative_ts', 'disabled'],
    // WebVTT is copied: what ffmpeg decodes of it has no settings any more.
    ...(codec === 'webvtt' ? ['-c:s', 'copy', '-f', 'webvtt'] : ['-c:s', 'srt', '-f', 'srt']),
    paths[index] ?? '',
  ]);
  return ['-copyts', ...sourceInput(plan.source.demuxer, source), ...outputs];
}

async function extract(deps: TranscodeDeps, context: JobContext, plan: TranscodePlan): Promise<string[]> {
  const runtime = await runtimeFor(deps, context);
  const { build } = runtime.binaries;
  if (build !== plan.encoderBuild) throw encoderMismatch(plan.encoderBuild, build);
  const source = await sourcePath(deps.objects, plan, context.signal);
  const paths = plan.subtitles.map(({ id }) => join(context.workDir, `${id}.txt`));
  const end = await runFfmpeg(
    { ...runtime, limits: { ...runtime.limits, maxFileBytes } },
    { args: textArguments(plan, source, paths), timeoutMs, noProgressMs: 600_000 },
  );
  const { error } = judgeEncode('subtitles', end, false, true);
  if (error) throw error;
  const startMs = Math.round(plan.video.startTicks * toNumber(plan.video.timeBase) * 1000);
  const durationMs = Math.floor((plan.frameCount * plan.rate.den * 1000) / plan.rate.num);
  return Promise.all(
    paths.map(async (path, index) => {
      const file = await readFile(path, 'utf8');
      const cues = plan.subtitles[index]?.codec === 'webvtt' ? parseWebVtt(plainTags(file)) : parseSrt(file);
      return writeWebVtt(fitCues(cues, -startMs, durationMs));
    }),
  );
}

async function runExtract(deps: TranscodeDeps, context: JobContext, params: PlanParams): Promise<TextRecord> {
  const { objects } = deps;
  const { signal } = context;
  const plan = await loadPlan(objects, params.plan, signal);
  const { frameCount, rate, subtitles, encoderBuild } = plan;
  const cause = { recipe: 2, source: plan.source.sha256, start: plan.video.startTicks, frameCount, rate, subtitles };
  const folder = `transcode/text/${jsonDigest({ ...cause, encoder: encoderBuild })}`;
  const commitKey = `${folder}/commit.json`;
  const known = await findJson<TextRecord>(objects, commitKey, signal);
  if (known && (await arePartsWhole(objects, known.tracks))) return known;
  context.progress({ fraction: 0, stage: 'extract subtitles' });
  const files = await extract(deps, context, plan);
  const tracks: (StoredPart & { id: string; cues: number })[] = [];
  for (const [index, { id }] of subtitles.entries()) {
    const file = files[index] ?? '';
    const key = `${folder}/${id}.vtt`;
    const place = { key, body: Buffer.from(file), contentType: 'text/vtt', signal, commitKey };
    const { sha256 } = await putSame(objects, place);
    tracks.push({ id, key, sha256, cues: parseWebVtt(file).length });
  }
  await putJsonOnce(objects, commitKey, { tracks }, signal);
  return { tracks };
}

/** Job kind `extract-text`: all text subtitles of a title as WebVTT, in one pass over the source. */
export function createExtractTextKind(deps: TranscodeDeps): JobKind<PlanParams, TextRecord> {
  return {
    name: 'extract-text',
    queueClass: 'encode',
    timeoutMs: timeoutMs + 600_000,
    maxRetries: 3,
    parseParams: parsePlanParams,
    run: (context, params) => runExtract(deps, context, params),
  };
}
