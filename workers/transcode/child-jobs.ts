import type { ChildJob } from '../queue/job-kind.ts';
import { codecTraits, type VideoCodec, videoCodecs } from './codecs/video-codec.ts';
import type { AudioRecord } from './encode/encode-audio.ts';
import type { ChunkRecord } from './encode/encode-chunk.ts';
import type { TranscodePlan } from './plan/plan.ts';
import type { TextRecord } from './text/extract-text-kind.ts';

/** The child jobs of a title in the order they are queued, and what each is for. */
export type EncodeJob = ChildJob & {
  /** Index of the chunk; undefined for audio and text. */
  readonly chunk?: number;
};

/** What a child job of a title may give. */
export type EncodeResult = AudioRecord | ChunkRecord | TextRecord;

/** Codecs of a plan, slowest first: their jobs take longest. */
function codecsOf(plan: TranscodePlan): VideoCodec[] {
  const used = new Set(plan.rungs.map((rung) => rung.codec));
  return videoCodecs.filter((codec) => used.has(codec)).reverse();
}

/**
 * Longest first, so that no worker begins a long job when the others are done: audio, which is a whole title in one
 * piece a track, then chunks by the bytes their frames take in the source, each with its slowest codec first, and subtitles last.
 */
export function encodeJobs(planKey: string, plan: TranscodePlan): EncodeJob[] {
  const audio = plan.audio.map(({ id }, track): EncodeJob => {
    const [key, label] = track === 0 ? ['audio', 'encode audio'] : [`audio-${track}`, `encode audio (${id})`];
    return { kind: 'encode-audio', params: { plan: planKey, track }, key, label };
  });
  const text: EncodeJob[] =
    plan.subtitles.length > 0
      ? [{ kind: 'extract-text', params: { plan: planKey }, key: 'text', label: 'extract subtitles' }]
      : [];
  const order = [...plan.chunks.entries()].sort(([a, x], [b, y]) => y.sourceBytes - x.sourceBytes || a - b);
  const codecs = codecsOf(plan);
  const chunks = order.flatMap(([index, chunk]) =>
    codecs.map((codec): EncodeJob => {
      const suffix = codec === 'h264' ? { key: '', label: '' } : { key: `-${codec}`, label: ` (${codec})` };
      return {
        kind: codecTraits(codec).kind,
        params: { plan: planKey, chunk: index },
        key: `chunk-${index}${suffix.key}`,
        label: `encode frames ${chunk.start}-${chunk.end - 1}${suffix.label}`,
        chunk: index,
      };
    }),
  );
  return [...audio, ...chunks, ...text];
}

/** What the children of a title made. */
export interface CollectedEncodes {
  /** In the plan's order. */
  readonly audio: readonly AudioRecord[];
  readonly text: TextRecord | undefined;
  readonly chunks: readonly ChunkRecord[];
}

/** The children's results, by kind: audio tracks, text, and for each chunk of the plan its rungs of all codecs. */
export function collectEncodes(
  plan: TranscodePlan,
  jobs: readonly EncodeJob[],
  results: readonly EncodeResult[],
): CollectedEncodes {
  const audio: AudioRecord[] = [];
  let text: TextRecord | undefined;
  const chunks = plan.chunks.map(({ start, end }) => ({ start, end, rungs: [] as ChunkRecord['rungs'][number][] }));
  jobs.forEach((job, index) => {
    const result = results[index];
    if (job.kind === 'encode-audio') audio.push(result as AudioRecord);
    else if (job.kind === 'extract-text') text = result as TextRecord;
    else if (job.chunk === undefined) return;
    else chunks[job.chunk]?.rungs.push(...(result as ChunkRecord).rungs);
  });
  return { audio, text, chunks };
}
