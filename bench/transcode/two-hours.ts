import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ObjectStore } from '../../server/stores/objects/object-store.ts';
import type { ChunkRecord } from '../../workers/transcode/encode/encode-chunk.ts';
import { writeMpd } from '../../workers/transcode/manifest/dash.ts';
import { writeMasterPlaylist, writeMediaPlaylist } from '../../workers/transcode/manifest/hls.ts';
import { type MediaSegment, segmentName, targetSeconds } from '../../workers/transcode/manifest/media-track.ts';
import { averageRate, peakRate } from '../../workers/transcode/manifest/peak-rate.ts';
import { planTranscode, type TranscodePlan } from '../../workers/transcode/plan/plan.ts';
import { publishTrack } from '../../workers/transcode/publish/publish-track.ts';
import { stitchVideo } from '../../workers/transcode/publish/stitch.ts';
import { rational } from '../../workers/transcode/rational.ts';
import type { SourceProbe } from '../../workers/transcode/source/source-probe.ts';
import type { BenchRow } from '../report.ts';
import type { TranscodeStack } from './stack.ts';

/** What a probe sees of `hours` of 1080p at 25 frames a second with a keyframe every 2 s. */
function syntheticProbe(hours: number): SourceProbe {
  const frames = hours * 3600 * 25;
  const times = (count: number, step: number) => Float64Array.from({ length: count }, (_, index) => index * step);
  return {
    demuxer: 'mov',
    bytes: 1,
    video: {
      ...{ streamIndex: 0, codec: 'h264', width: 1920, height: 1080, rotation: 0, pixelAspect: rational(1, 1) },
      ...{
        interlaced: false,
        pixelFormat: 'yuv420p',
        colorSpace: 'bt709',
        colorPrimaries: 'bt709',
        colorTransfer: 'bt709',
        timeBase: rational(1, 12_800),
      },
      claimedRates: [rational(25, 1)],
      ptsTicks: times(frames, 512),
      frameBytes: times(frames, 0).fill(20_000),
      keyframeTicks: times(frames / 50, 512 * 50),
      decodeDelayTicks: 0,
    },
    audio: [],
    subtitles: [],
    warnings: [],
  };
}

function manifestsOf(plan: TranscodePlan): number {
  const video = plan.rungs.map(({ id, width, height, maxrateKbps }, rung) => {
    const segments: MediaSegment[] = plan.segments.map(({ start, end }, index) => ({
      name: segmentName(index),
      startTicks: start * plan.ticksPerFrame,
      durationTicks: (end - start) * plan.ticksPerFrame,
      bytes: Math.round(maxrateKbps * 60 * (1 + ((index * 7 + rung) % 11) / 11)),
    }));
    const { timescale } = plan;
    const peakBps = peakRate(segments, timescale, targetSeconds({ timescale, segments }));
    const rates = { peakBps, averageBps: averageRate(segments, timescale) };
    const shape = { width, height, frameRate: plan.rate, codec: 'avc1.640028' };
    return { folder: `video/${id}`, id, timescale, segments, ...rates, ...shape };
  });
  const seconds = rational(plan.frameCount, 25);
  const presentation = { seconds, video, audio: [], text: [] };
  const playlists = video.map((track) => writeMediaPlaylist(track).length);
  const size = writeMasterPlaylist(presentation).length + writeMpd(presentation).length;
  return playlists.reduce((sum, bytes) => sum + bytes, size);
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Memory in MiB that is in use after a collection: what is held, not what waits to be freed. */
async function heldMib(): Promise<number> {
  collect();
  // Memory outside the heap is given back a moment after what held it is gone.
  await setImmediate();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

function listsRow(hours: number): BenchRow {
  const probe = syntheticProbe(hours);
  const startedAt = performance.now();
  const plan = planTranscode({ probe, sourceKey: 'a', sourceSha256: 'b', encoderBuild: 'c' });
  const bytes = manifestsOf(plan);
  const seconds = (performance.now() - startedAt) / 1000;
  const what = `plan and manifests of ${hours} h, ${plan.chunks.length} chunks, ${Math.round(bytes / 1024)} KiB`;
  return { measure: what, ours: seconds, unit: 's', goal: '< 2 s', reached: seconds < 2 };
}

/** One rung of `hours`, its chunks all the same real one, stitched, audited and hashed; nothing is written. */
async function stitched(objects: ObjectStore, plan: TranscodePlan, record: ChunkRecord, hours: number) {
  const frames = record.end - record.start;
  const count = Math.round((hours * 3600 * 25) / frames);
  const chunks = Array.from({ length: count }, (_, index) => {
    return { ...record, start: index * frames, end: (index + 1) * frames };
  });
  const own = plan.segments.filter((each) => each.start >= record.start && each.end <= record.end);
  const segments = chunks.flatMap(({ start }) =>
    own.map((each) => ({ start: each.start - record.start + start, end: each.end - record.start + start })),
  );
  const signal = new AbortController().signal;
  const rung = record.rungs[0]?.id ?? '';
  const track = await stitchVideo(objects, { ...plan, segments, chunks: [] }, chunks, rung, signal);
  let mostHeldMib = 0;
  let collecting = 0;
  let puts = 0;
  const put = async (key: string, body: Uint8Array) => {
    if (puts++ % 200 === 0) {
      const startedAt = performance.now();
      mostHeldMib = Math.max(mostHeldMib, await heldMib());
      collecting += performance.now() - startedAt;
    }
    return { key, bytes: body.length, sha256: createHash('sha256').update(body).digest('hex') };
  };
  const startedAt = performance.now();
  const place = { folder: 'video', id: 'video', kind: 'video', windowSeconds: 2, onSegment: () => {} } as const;
  const published = await publishTrack({ put, objects: [] }, track, place);
  const seconds = (performance.now() - startedAt - collecting) / 1000;
  return { seconds, mostHeldMib, megabytes: published.totalBytes / 1e6 };
}

/** What a long title costs besides its encodes: lists of two hours, and the stitch of a rung with its memory. */
export async function twoHourRows(
  stack: TranscodeStack,
  plan: TranscodePlan,
  record: ChunkRecord,
): Promise<BenchRow[]> {
  listsRow(1);
  const lists = listsRow(2);
  // Once to warm up: what is compared is growth with the title, not the first use of the code.
  await stitched(stack.objects, plan, record, 0.5);
  const quarter = await stitched(stack.objects, plan, record, 0.5);
  const whole = await stitched(stack.objects, plan, record, 2);
  return [
    lists,
    {
      measure: `stitch, audit and hash of a 2 h rung, ${Math.round(whole.megabytes)} MB`,
      ours: whole.megabytes / whole.seconds,
      unit: 'MB/s',
    },
    {
      measure: 'memory held at the most of it',
      ours: whole.mostHeldMib,
      unit: 'MiB',
      peer: { name: 'of half an hour', value: quarter.mostHeldMib },
      ratio: whole.mostHeldMib / quarter.mostHeldMib,
      goal: '≤ 1.25x',
      reached: whole.mostHeldMib <= quarter.mostHeldMib * 1.25,
    },
  ];
}
