import type { ChildJob } from '../queue/job-kind.ts';
import { codecTraits, type VideoCodec, videoCodecs } from './codecs/video-codec.ts';
import type { AudioRecord } from './encode-audio.ts';
import type { ChunkRecord } from './encode-chunk.ts';
import type { TranscodePlan } from './plan.ts';

/** The child jobs of a title in the order they are queued, and what each is for. */
export type EncodeJob = ChildJob & {
  /** Index of the chunk; undefined for audio. */
  readonly chunk?: number;
};

/** Codecs of a plan, slowest first: their jobs take longest. */
function codecsOf(plan: TranscodePlan): VideoCodec[] {
  const used = new Set(plan.rungs.map((rung) => rung.codec));
  return videoCodecs.filter((codec) => used.has(codec)).reverse();
}

/**
 * Longest first, so that no worker begins a long job when the others are done: audio, which is a whole title in one
 * piece, then chunks by the bytes their frames take in the source, each with its slowest codec first.
 */
export function encodeJobs(planKey: string, plan: TranscodePlan): EncodeJob[] {
  const audio: EncodeJob[] = plan.audio
    ? [{ kind: 'encode-audio', params: { plan: planKey }, key: 'audio', label: 'encode audio' }]
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
  return [...audio, ...chunks];
}

/** The children's results, by kind: audio, and for each chunk of the plan its rungs of all codecs. */
export function collectEncodes(
  plan: TranscodePlan,
  jobs: readonly EncodeJob[],
  results: readonly (AudioRecord | ChunkRecord)[],
): { audio: AudioRecord | undefined; chunks: ChunkRecord[] } {
  let audio: AudioRecord | undefined;
  const chunks = plan.chunks.map(({ start, end }) => ({ start, end, rungs: [] as ChunkRecord['rungs'][number][] }));
  jobs.forEach((job, index) => {
    const result = results[index];
    if (job.chunk === undefined) audio = result as AudioRecord;
    else chunks[job.chunk]?.rungs.push(...(result as ChunkRecord).rungs);
  });
  return { audio, chunks };
}
