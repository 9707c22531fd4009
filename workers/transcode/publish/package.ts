import { canonicalJson } from '../../../server/core/canonical-json.ts';
import type { ObjectStore } from '../../../server/stores/objects/object-store.ts';
import { videoCodecs } from '../codecs/video-codec.ts';
import { type AudioRecord, frameSamples } from '../encode/encode-audio.ts';
import type { ChunkRecord } from '../encode/encode-chunk.ts';
import { encodeRejected, titleRejected } from '../errors.ts';
import type { ThumbnailRecord } from '../images/make-thumbnails-kind.ts';
import { type PublishedThumbnails, publishThumbnails } from '../images/publish-thumbnails.ts';
import { writeMpd } from '../manifest/dash.ts';
import { writeMasterPlaylist } from '../manifest/hls.ts';
import {
  type AudioTrack,
  masterPlaylistName,
  mediaPlaylistName,
  mpdName,
  type VideoTrack,
} from '../manifest/media-track.ts';
import type { Rung } from '../plan/ladder.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import { audioProfile, type PlannedAudio } from '../plan/plan-audio.ts';
import { publishLadder } from '../quality/publish-ladder.ts';
import { rational, rationalText, toNumber } from '../rational.ts';
import { putJsonOnce } from '../stored-json.ts';
import type { TextRecord } from '../text/extract-text-kind.ts';
import { type PublishedText, publishText } from '../text/publish-text.ts';
import { declaredRate } from './declared-rate.ts';
import type { EncodeSet, EncodeSetFile, EncodeSetObject } from './encode-set.ts';
import {
  commitName,
  createVersionFolder,
  type PublishedTrack,
  publishTrack,
  type VersionFolder,
} from './publish-track.ts';
import { stitchAudio, stitchVideo } from './stitch.ts';
import { verificationPage } from './verification-page.ts';
import { verifyTitle } from './verify-title.ts';

/** Raised when the packager writes other bytes for the same encodes; part of every version's name. */
export const packagerVersion = 9;

interface PackageJob {
  readonly plan: TranscodePlan;
  /** Key that the plan is stored under. */
  readonly planKey: string;
  readonly title: string;
  readonly version: string;
  /** Folder of the version, without a trailing slash. */
  readonly folder: string;
  readonly chunks: readonly ChunkRecord[];
  /** In the plan's order. */
  readonly audio: readonly AudioRecord[];
  readonly text: TextRecord | undefined;
  readonly thumbnails: ThumbnailRecord;
  readonly signal: AbortSignal;
  /** 0..1 of the segments written. */
  readonly onProgress: (fraction: number) => void;
}

interface Rendition {
  readonly rung: Rung;
  readonly track: PublishedTrack;
}

function videoTrack(plan: TranscodePlan, { rung, track }: Rendition): VideoTrack {
  const { folder, segments, peakBps, averageBps } = track;
  const { codec, timescale, width, height } = track.info;
  const shape = { codec, timescale, segments, peakBps, averageBps, width, height, frameRate: plan.rate };
  return { folder, id: rung.id, ...shape, ...(rung.hdr ? { hdr: rung.hdr } : {}) };
}

function audioTrack(planned: PlannedAudio, track: PublishedTrack): AudioTrack {
  const { folder, segments, peakBps, averageBps } = track;
  const { codec, timescale, channels, sampleRateHz } = track.info;
  const { id, language, title, purpose, streamIndex } = planned;
  const shape = { folder, id, codec, timescale, segments, peakBps, averageBps };
  return { ...shape, language, title, purpose, streamIndex, profile: audioProfile(planned), channels, sampleRateHz };
}

function trackFile(
  job: PackageJob,
  track: PublishedTrack,
  { kind, profile, language }: Pick<EncodeSetFile, 'kind' | 'profile' | 'language'>,
): EncodeSetFile {
  return {
    id: track.audit.id,
    kind,
    profile,
    codec: track.info.codec,
    bitrateBps: track.averageBps,
    peakBps: track.peakBps,
    language,
    width: track.info.width,
    height: track.info.height,
    totalBytes: track.totalBytes,
    sha256: track.sha256,
    objectKey: `${job.folder}/${track.folder}/`,
    segmentCount: track.segments.length,
  };
}

function textFile(job: PackageJob, { planned, track, totalBytes, sha256, segmentCount }: PublishedText): EncodeSetFile {
  const { id, language } = planned;
  const none = { codec: 'wvtt', bitrateBps: track.averageBps, peakBps: track.averageBps, width: 0, height: 0 };
  const place = { objectKey: `${job.folder}/${track.folder}/`, segmentCount };
  return { id: `text-${id}`, kind: 'text', profile: 'webvtt', language, ...none, totalBytes, sha256, ...place };
}

function imageFile(job: PackageJob, { track, totalBytes, sha256, segmentCount }: PublishedThumbnails): EncodeSetFile {
  const { columns, rows, width, height, peakBps } = track;
  const shape = { codec: 'jpeg', bitrateBps: peakBps, peakBps, language: '', width, height };
  const place = { objectKey: `${job.folder}/${track.folder}/`, segmentCount };
  return {
    id: 'thumbnails',
    kind: 'image',
    profile: `jpeg-${columns}x${rows}`,
    ...shape,
    totalBytes,
    sha256,
    ...place,
  };
}

function manifestFile(id: string, object: EncodeSetObject): EncodeSetFile {
  const none = { codec: '', bitrateBps: 0, peakBps: 0, language: '', width: 0, height: 0, segmentCount: 0 };
  const { bytes, sha256, key } = object;
  return { id, kind: 'manifest', profile: id, ...none, totalBytes: bytes, sha256, objectKey: key };
}

async function publishTracks(objects: ObjectStore, job: PackageJob, out: VersionFolder) {
  const { plan, signal } = job;
  const trackCount = plan.rungs.length + job.audio.length;
  const total = plan.segments.length * trackCount;
  let written = 0;
  const onSegment = () => job.onProgress(Math.min(1, ++written / total));
  const longest = Math.max(...plan.segments.map(({ start, end }) => end - start));
  const windowSeconds = Math.max(1, Math.round(longest / toNumber(plan.rate)));
  const video: Rendition[] = [];
  for (const rung of plan.rungs) {
    const stitched = await stitchVideo(objects, plan, job.chunks, rung.id, signal);
    const place = {
      folder: `video/${rung.id}`,
      id: `video-${rung.id}`,
      kind: 'video',
      windowSeconds,
      onSegment,
    } as const;
    video.push({ rung, track: await publishTrack(out, stitched, place) });
  }
  // H.264 first: a player that begins with the first variant must be able to play it.
  const rank = ({ rung }: Rendition) => videoCodecs.indexOf(rung.codec);
  video.sort((a, b) => rank(a) - rank(b) || a.track.averageBps - b.track.averageBps);
  const audio: { planned: PlannedAudio; record: AudioRecord; track: PublishedTrack }[] = [];
  for (const [index, planned] of plan.audio.entries()) {
    const record = job.audio[index];
    if (!record) throw encodeRejected('audio', [`track ${planned.id} is missing`]);
    const { id } = planned;
    const place = { folder: `audio/${id}`, id: `audio-${id}`, kind: 'audio', windowSeconds, onSegment } as const;
    audio.push({
      planned,
      record,
      track: await publishTrack(out, await stitchAudio(objects, plan, record, signal), place),
    });
  }
  const text = job.text ? await publishText(objects, plan, job.text, out, signal) : [];
  const images = await publishThumbnails(objects, plan, job.thumbnails, out, signal);
  return { video, audio, text, images };
}

type Tracks = Awaited<ReturnType<typeof publishTracks>>;

/** Rates are those that the manifests' own text declares, or a fault of their writers would never be found. */
function verify(plan: TranscodePlan, { video, audio }: Tracks, manifests: Manifests) {
  return verifyTitle(
    plan,
    video.map(({ rung, track }) => ({
      ...rung,
      audit: track.audit,
      declaredPeakBps: declaredRate(manifests, rung.id, `${track.folder}/${mediaPlaylistName}`),
    })),
    audio.map(({ planned, record, track }) => ({
      audit: track.audit,
      timescale: track.info.timescale,
      skipTicks: track.info.skipTicks,
      declaredPeakBps: declaredRate(manifests, planned.id),
      frameSamples: frameSamples[planned.codec],
      loudness: record.loudness,
    })),
  );
}

/** Chunks that their encoder brought under the cap only at a second try. */
function tightened(plan: TranscodePlan, chunks: readonly ChunkRecord[]): string[] {
  return plan.rungs.flatMap(({ id, maxrateKbps }) => {
    const found = chunks.filter((chunk) =>
      chunk.rungs.some((each) => each.id === id && each.maxrateKbps < maxrateKbps),
    );
    if (found.length === 0) return [];
    return [
      `${id}: ${found.length} chunks encoded again to stay under ${maxrateKbps} kb/s, first at frame ${found[0]?.start}`,
    ];
  });
}

/** Both manifests as text. */
interface Manifests {
  readonly master: string;
  readonly mpd: string;
}

function manifestsOf(plan: TranscodePlan, { video, audio, text, images }: Tracks): Manifests {
  const presentation = {
    seconds: rational(plan.frameCount * plan.rate.den, plan.rate.num),
    video: video.map((each) => videoTrack(plan, each)),
    audio: audio.map(({ planned, track }) => audioTrack(planned, track)),
    text: text.map(({ track }) => track),
    images: images.track,
  };
  return { master: writeMasterPlaylist(presentation), mpd: writeMpd(presentation) };
}

async function publishManifests({ master, mpd }: Manifests, out: VersionFolder) {
  return {
    hls: await out.put(masterPlaylistName, Buffer.from(master), 'application/vnd.apple.mpegurl'),
    dash: await out.put(mpdName, Buffer.from(mpd), 'application/dash+xml'),
  };
}

/**
 * Stitches, checks and publishes a title version: tracks, the verification, both manifests, and last the commit record
 * `encode-set.json`. Until that record is there nothing is published; a second run writes the same bytes again.
 * INTERNAL VERIFICATION_FAILED, ENCODE_REJECTED; errors of the object store.
 */
export async function packageTitle(objects: ObjectStore, job: PackageJob): Promise<EncodeSet> {
  const { plan, signal } = job;
  const out = createVersionFolder(objects, job.folder, signal);
  const tracks = await publishTracks(objects, job, out);
  const manifests = manifestsOf(plan, tracks);
  const verified = verify(plan, tracks, manifests);
  if (!verified.ok) {
    const failed = verified.checks.filter((check) => !check.ok);
    throw titleRejected(failed.map((check) => `${check.name}: ${check.detail}`));
  }
  const notes = tightened(plan, job.chunks);
  const verification = { ...verified, warnings: [...plan.warnings, ...notes] };
  const report = Buffer.from(canonicalJson(verification));
  const reportObject = await out.put('verification.json', report, 'application/json');
  const page = verificationPage({ title: job.title, version: job.version, plan, verification });
  await out.put('verification.html', Buffer.from(page), 'text/html; charset=utf-8');
  const { hls, dash } = await publishManifests(manifests, out);
  const ladder = await publishLadder(objects, plan, out, signal);
  const encodeSet: EncodeSet = {
    format: 1,
    title: job.title,
    version: job.version,
    sourceSha256: plan.source.sha256,
    frameCount: plan.frameCount,
    frameRate: rationalText(plan.rate),
    durationSeconds: (plan.frameCount * plan.rate.den) / plan.rate.num,
    hlsObjectKey: hls.key,
    dashObjectKey: dash.key,
    verificationObjectKey: reportObject.key,
    ladderObjectKey: ladder.key,
    planObjectKey: job.planKey,
    notes,
    totalBytes: out.objects.reduce((sum, object) => sum + object.bytes, 0),
    files: [
      ...tracks.video.map(({ rung, track }) => {
        return trackFile(job, track, { kind: 'video', profile: rung.profileName, language: '' });
      }),
      ...tracks.audio.map(({ planned, track }) => {
        const { language } = planned;
        return trackFile(job, track, { kind: 'audio', profile: audioProfile(planned), language });
      }),
      ...tracks.text.map((each) => textFile(job, each)),
      imageFile(job, tracks.images),
      manifestFile('hls', hls),
      manifestFile('dash', dash),
    ],
    objects: out.objects,
  };
  await putJsonOnce(objects, `${job.folder}/${commitName}`, encodeSet, signal);
  return encodeSet;
}
