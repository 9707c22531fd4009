import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonDigest } from '../../../server/core/canonical-json.ts';
import { invalidField } from '../../../server/core/errors.ts';
import type { JobContext, JobKind } from '../../queue/job-kind.ts';
import type { ChunkRecord } from '../encode/encode-chunk.ts';
import { judgeEncode } from '../encode/judge-encode.ts';
import { type RungRecord, rungFolder } from '../encode/rung-store.ts';
import { encodeRejected, sourceMissing } from '../errors.ts';
import { runFfmpeg } from '../ffmpeg/run-ffmpeg.ts';
import { type PlanParams, parsePlanParams } from '../params.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import { loadPlan } from '../plan/plan-store.ts';
import { stitchVideo } from '../publish/stitch.ts';
import { putSame } from '../put-same.ts';
import { arePartsWhole, type StoredPart } from '../read-part.ts';
import { findJson, putJsonOnce } from '../stored-json.ts';
import { runtimeFor, type TranscodeDeps } from '../transcode-deps.ts';
import { jpegSize } from './jpeg-size.ts';
import { planThumbnails, sheetName, type ThumbnailPlan } from './thumbnail-plan.ts';

/** Commit record of a title's thumbnails. */
export type ThumbnailRecord = { readonly plan: ThumbnailPlan; readonly sheets: readonly StoredPart[] };

const timeoutMs = 3_600_000;

/** The chunks of one rung, as their encodes left them in the store. */
async function findChunks(deps: TranscodeDeps, plan: TranscodePlan, rungId: string, signal: AbortSignal) {
  const rung = plan.rungs.find((each) => each.id === rungId);
  const chunks: ChunkRecord[] = [];
  for (const chunk of rung ? plan.chunks : []) {
    const folder = rung ? rungFolder(plan, chunk, rung) : '';
    const record = await findJson<RungRecord>(deps.objects, `${folder}/commit.json`, signal);
    if (!record) throw sourceMissing(folder);
    const { start, end } = chunk;
    chunks.push({ start, end, rungs: [{ ...record, id: rungId, cpuSeconds: 0, reused: true }] });
  }
  return chunks;
}

/** Puts the rung into one file: it is upright, SDR and exact by frame already, so one cheap decode gives all pictures. */
async function writeRung(deps: TranscodeDeps, context: JobContext, plan: TranscodePlan, rungId: string) {
  const { signal, workDir } = context;
  const chunks = await findChunks(deps, plan, rungId, signal);
  const track = await stitchVideo(deps.objects, plan, chunks, rungId, signal);
  const path = join(workDir, 'rung.mp4');
  await writeFile(path, track.init);
  for await (const { bytes } of track.segments) await appendFile(path, bytes);
  return path;
}

async function makeSheets(deps: TranscodeDeps, context: JobContext, plan: TranscodePlan, thumbs: ThumbnailPlan) {
  const path = await writeRung(deps, context, plan, thumbs.rungId);
  const { everyFrames, width, height, columns, rows } = thumbs;
  const filters = [
    `select='not(mod(n\\,${everyFrames}))'`,
    // JPEG has no tags for its colours: readers take them for full-range BT.601.
    `scale=${width}:${height}:flags=area:out_range=full:out_color_matrix=bt601`,
    'format=yuvj420p',
    `tile=${columns}x${rows}`,
  ];
  const end = await runFfmpeg(await runtimeFor(deps, context), {
    args: [
      ...['-threads', '1', '-protocol_whitelist', 'file', '-f', 'mov', '-i', `file:${path}`, '-an'],
      ...['-vf', filters.join(','), '-fps_mode', 'passthrough', '-c:v', 'mjpeg', '-q:v', '4', '-threads:v', '1'],
      ...['-flags:v', '+bitexact', '-fflags', '+bitexact', '-map_metadata', '-1', '-f', 'image2'],
      join(context.workDir, 'sheet-%05d.jpg'),
    ],
    timeoutMs,
    noProgressMs: 600_000,
  });
  const { error } = judgeEncode('thumbnails', end, false, true);
  if (error) throw error;
  const count = Math.ceil(thumbs.count / (columns * rows));
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const data = await readFile(join(context.workDir, sheetName(index)));
      const size = jpegSize(data);
      if (size?.width === width * columns && size.height === height * rows) return data;
      throw encodeRejected(sheetName(index), [`its size is ${size?.width}x${size?.height}`]);
    }),
  );
}

async function runThumbnails(deps: TranscodeDeps, context: JobContext, params: PlanParams): Promise<ThumbnailRecord> {
  const { objects } = deps;
  const { signal } = context;
  const plan = await loadPlan(objects, params.plan, signal);
  const thumbs = planThumbnails(plan);
  if (!thumbs) throw invalidField('plan', 'has no rungs');
  const folder = `transcode/images/${jsonDigest({ recipe: 3, plan: params.plan, thumbs })}`;
  const commitKey = `${folder}/commit.json`;
  const known = await findJson<ThumbnailRecord>(objects, commitKey, signal);
  if (known && (await arePartsWhole(objects, known.sheets))) return known;
  context.progress({ fraction: 0, stage: 'thumbnails' });
  const sheets: StoredPart[] = [];
  for (const [index, data] of (await makeSheets(deps, context, plan, thumbs)).entries()) {
    const place = { key: `${folder}/${sheetName(index)}`, commitKey };
    const { key, sha256 } = await putSame(objects, { ...place, body: data, contentType: 'image/jpeg', signal });
    sheets.push({ key, sha256 });
  }
  const record: ThumbnailRecord = { plan: thumbs, sheets };
  await putJsonOnce(objects, commitKey, record, signal);
  return record;
}

/** Job kind `make-thumbnails`: sheets of small pictures of an encoded title, by one decode of its smallest rung. */
export function createMakeThumbnailsKind(deps: TranscodeDeps): JobKind<PlanParams, ThumbnailRecord> {
  return {
    name: 'make-thumbnails',
    queueClass: 'encode',
    timeoutMs: timeoutMs + 600_000,
    maxRetries: 3,
    parseParams: parsePlanParams,
    run: (context, params) => runThumbnails(deps, context, params),
  };
}
