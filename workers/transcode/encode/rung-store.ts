import { createHash } from 'node:crypto';
import { jsonDigest } from '../../../server/core/canonical-json.ts';
import type { ObjectStore } from '../../../server/stores/objects/object-store.ts';
import { makeInitSegment } from '../mp4/init-segment.ts';
import type { Sample } from '../mp4/read-fragments.ts';
import type { Rung } from '../plan/ladder.ts';
import type { PlannedChunk, TranscodePlan } from '../plan/plan.ts';
import { putSame } from '../put-same.ts';
import { arePartsWhole } from '../read-part.ts';
import { findJson, putJsonOnce } from '../stored-json.ts';
import { rungArguments, scaleFilters, sharedFilters } from './chunk-command.ts';

/** Commit record of one rung of one chunk: written last, so whoever reads it finds the file. */
export type RungRecord = {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Of the init segment: equal over all chunks of a rung, or the chunks cannot be joined. */
  readonly initSha256: string;
  /** Presentation minus decode time of the first frame: how far the encoder reorders. */
  readonly delayTicks: number;
  /** Decoder complaints that only the seek explains. */
  readonly excusedErrors: number;
  /** Cap it was encoded with; below the rung's where the encoder broke that one. */
  readonly maxrateKbps: number;
};

/**
 * Folder of one rung of one chunk: a digest of all that decides its bytes, and of nothing else. Other rungs of the
 * title and the rung's name do not count, so a changed ladder encodes only what changed.
 */
export function rungFolder(plan: TranscodePlan, chunk: PlannedChunk, rung: Rung): string {
  const content = {
    recipe: 4,
    source: plan.source,
    filters: [plan.video.streamIndex, sharedFilters(plan, chunk, rung.hdr !== undefined), scaleFilters(rung, plan)],
    range: [chunk.start, chunk.end, chunk.seekSeconds],
    output: rungArguments(plan, rung),
    encoder: plan.encoderBuild,
  };
  return `transcode/rungs/${jsonDigest(content)}`;
}

/** The record of a rung that was encoded before, if its file is still there. */
export async function findRung(
  objects: ObjectStore,
  folder: string,
  signal: AbortSignal,
): Promise<RungRecord | undefined> {
  const record = await findJson<RungRecord>(objects, `${folder}/commit.json`, signal);
  return record && (await arePartsWhole(objects, [record])) ? record : undefined;
}

/** A checked encode on its way into the store. */
export interface EncodedRung {
  readonly data: Buffer;
  readonly samples: readonly Sample[];
  readonly excusedErrors: number;
  readonly maxrateKbps: number;
}

/** Stores the file, then the record. */
export async function storeRung(
  objects: ObjectStore,
  folder: string,
  encoded: EncodedRung,
  signal: AbortSignal,
): Promise<RungRecord> {
  const { data, samples, excusedErrors, maxrateKbps } = encoded;
  const key = `${folder}/video.mp4`;
  const commitKey = `${folder}/commit.json`;
  const info = await putSame(objects, { key, body: data, contentType: 'video/mp4', signal, commitKey });
  const record: RungRecord = {
    key,
    bytes: info.bytes,
    sha256: info.sha256,
    initSha256: createHash('sha256').update(makeInitSegment(data, 0)).digest('hex'),
    delayTicks: samples[0]?.offsetTicks ?? 0,
    excusedErrors,
    maxrateKbps,
  };
  await putJsonOnce(objects, commitKey, record, signal);
  return record;
}
