import { create } from '@bufbuild/protobuf';
import {
  type Appliance as ApplianceMessage,
  ApplianceSchema,
  EncodeSetSchema,
  FileSchema,
  FileKind as KindMessage,
  SourceSchema,
  ApplianceState as StateMessage,
  type Title as TitleMessage,
  TitleSchema,
} from '../../proto/gen/showrunner/manifest/v1/manifest_pb.ts';
import { invalidField } from '../core/errors.ts';
import { readTimestamp, toDuration, toTimestamp } from '../rpc/edge/wkt-time.ts';
import type { Appliance } from './appliance.ts';
import type { ApplianceState } from './appliance-health.ts';
import type { WatchedAppliance } from './appliance-store.ts';
import type { EncodeSetFile, FileKind } from './encode-set-record.ts';
import type { EncodeSet } from './encode-set-store.ts';
import type { Playback } from './playback.ts';
import { explain } from './rank-sources.ts';
import type { Title, TitleFields } from './title.ts';

const toKind: Readonly<Record<FileKind, KindMessage>> = {
  video: KindMessage.VIDEO,
  audio: KindMessage.AUDIO,
  text: KindMessage.TEXT,
  manifest: KindMessage.MANIFEST,
  image: KindMessage.IMAGE,
};
const fromKind = new Map<KindMessage, FileKind>(
  Object.entries(toKind).map(([kind, value]) => [value, kind as FileKind]),
);

const toState: Readonly<Record<ApplianceState, StateMessage>> = {
  up: StateMessage.UP,
  suspect: StateMessage.SUSPECT,
  down: StateMessage.DOWN,
  draining: StateMessage.DRAINING,
};

/** The kinds of a filter; INVALID_FIELDS for unknown ones. */
export function readFileKinds(kinds: readonly KindMessage[]): FileKind[] {
  return kinds.map((kind, index) => {
    const found = fromKind.get(kind);
    if (found === undefined) throw invalidField(`filter.kinds[${index}]`, `must be a known kind, got ${kind}`);
    return found;
  });
}

/** What may be set of a title. */
export function readTitleFields(message: TitleMessage): TitleFields {
  const { displayName, genres, regions } = message;
  return { displayName, genres, regions, launchMs: readTimestamp('title.launch_time', message.launchTime) };
}

/** A title as callers see it. */
export function toTitleMessage(title: Title) {
  const { id, displayName, genres, regions, launchMs, durationMs, currentVersion, etag } = title;
  return create(TitleSchema, {
    name: `titles/${id}`,
    displayName,
    genres: [...genres],
    regions: [...regions],
    ...(launchMs === undefined ? {} : { launchTime: toTimestamp(launchMs) }),
    ...(durationMs === undefined ? {} : { duration: toDuration(durationMs) }),
    currentEncodeSet: currentVersion === '' ? '' : `titles/${id}/encodeSets/${currentVersion}`,
    createTime: toTimestamp(title.createMs),
    updateTime: toTimestamp(title.updateMs),
    etag,
  });
}

/** The resource name of an encode set. */
function encodeSetName({ titleId, version }: Pick<EncodeSet, 'titleId' | 'version'>): string {
  return `titles/${titleId}/encodeSets/${version}`;
}

/** An encode set as callers see it. */
export function toEncodeSetMessage(set: EncodeSet) {
  const { objectKey, job, frameRate, hlsObjectKey, dashObjectKey, fileCount } = set;
  return create(EncodeSetSchema, {
    name: encodeSetName(set),
    objectKey,
    job,
    frameCount: BigInt(set.frameCount),
    frameRate,
    duration: toDuration(set.durationMs),
    hlsObjectKey,
    dashObjectKey,
    fileCount,
    totalBytes: BigInt(set.totalBytes),
    createTime: toTimestamp(set.createMs),
  });
}

/** A file of an encode set as callers see it. */
export function toFileMessage(set: Pick<EncodeSet, 'titleId' | 'version'>, file: EncodeSetFile) {
  const { id, kind, profile, codec, language, width, height, sha256, objectKey, segmentCount } = file;
  return create(FileSchema, {
    name: `${encodeSetName(set)}/files/${id}`,
    kind: toKind[kind],
    profile,
    codec,
    bitrateBps: BigInt(file.bitrateBps),
    language,
    width,
    height,
    totalBytes: BigInt(file.totalBytes),
    sha256,
    objectKey,
    segmentCount,
  });
}

/** An appliance as an operator describes it, with its bare id; its fields are checked by the domain. */
export function readAppliance(id: string, message: ApplianceMessage): Appliance {
  const { baseUrl, site, region, asn, prefixes, latitude, longitude, origin, draining } = message;
  return {
    id,
    baseUrl,
    site,
    region,
    asn,
    prefixes,
    latitude,
    longitude,
    capacityBytes: Number(message.capacityBytes),
    throughputBps: Number(message.throughputBps),
    origin,
    draining,
  };
}

/** An appliance as callers see it, with its state and last heartbeat. */
export function toApplianceMessage({ appliance, heartbeat }: WatchedAppliance, state: ApplianceState) {
  const { id, capacityBytes, throughputBps, prefixes, ...same } = appliance;
  return create(ApplianceSchema, {
    ...same,
    name: `appliances/${id}`,
    prefixes: [...prefixes],
    capacityBytes: BigInt(capacityBytes),
    throughputBps: BigInt(throughputBps),
    state: toState[state],
    ...(heartbeat === undefined ? {} : { load: heartbeat.load, heartbeatTime: toTimestamp(heartbeat.atMs) }),
  });
}

/** The answer of GetPlayback. */
export function toPlaybackAnswer({ encodeSet, sources, files, excluded }: Playback) {
  return {
    encodeSet: toEncodeSetMessage(encodeSet),
    sources: sources.map((source) => {
      const { id, baseUrl, proximity, prefixBits, distanceKm, load, hash } = source;
      return create(SourceSchema, {
        appliance: `appliances/${id}`,
        hlsUrl: `${baseUrl}/${encodeSet.hlsObjectKey}`,
        dashUrl: `${baseUrl}/${encodeSet.dashObjectKey}`,
        reasons: { proximity, prefixBits, distanceKm, load, hash, explanation: explain(source) },
      });
    }),
    files: files.map((file) => toFileMessage(encodeSet, file)),
    excluded: Object.fromEntries([...excluded].map(([id, reason]) => [`appliances/${id}`, reason])),
  };
}
