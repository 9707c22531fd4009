/** A part of a transcode, as the jobs area has it. */
export interface TranscodePart {
  readonly kind: string;
  readonly params: unknown;
  readonly isDone: boolean;
  /** Frames that it last reported; 0 before. */
  readonly frames: number;
  /** Unix ms of its first start; undefined before. */
  readonly startMs?: number | undefined;
}

/** What is needed of a stored plan. */
export interface ProgressPlan {
  readonly frameCount: number;
  readonly chunks: readonly { readonly start: number; readonly end: number }[];
  readonly rungs: readonly { readonly id: string; readonly codec: string }[];
}

/** How far one rung is. */
export interface RungProgressReport {
  readonly rung: string;
  readonly frames: number;
  readonly totalFrames: number;
  /** Over all workers; 0 before the first chunk began. */
  readonly framesPerSecond: number;
  /** Undefined while the pace is unknown. */
  readonly remainingMs?: number;
}

const chunkKind = /^encode-chunk(?:-(\w+))?$/;

/** Codec of the chunks that a part encodes; undefined for other parts. */
function codecOf({ kind }: TranscodePart): string | undefined {
  const match = chunkKind.exec(kind);
  return match ? (match[1] ?? 'h264') : undefined;
}

interface ChunkParams {
  readonly plan?: string;
  readonly chunk?: number;
}

/** Key of the plan that the chunks of a transcode follow; undefined before any is queued. */
export function planKeyOf(parts: readonly TranscodePart[]): string | undefined {
  const chunk = parts.find((part) => codecOf(part) !== undefined);
  return (chunk?.params as ChunkParams | undefined)?.plan;
}

/** How far each rung is: frames of chunks that have ended, and of those that run what they last reported. */
export function rungProgress(plan: ProgressPlan, parts: readonly TranscodePart[], nowMs: number): RungProgressReport[] {
  const byCodec = Map.groupBy(parts, codecOf);
  return plan.rungs.map(({ id, codec }) => {
    const own = byCodec.get(codec) ?? [];
    const frames = own.reduce((sum, { params, isDone, frames: reported }) => {
      const { start = 0, end = 0 } = plan.chunks[(params as ChunkParams).chunk ?? -1] ?? {};
      return sum + (isDone ? end - start : Math.min(reported, end - start));
    }, 0);
    const begun = own.flatMap(({ startMs }) => startMs ?? []);
    const seconds = begun.length === 0 ? 0 : (nowMs - Math.min(...begun)) / 1000;
    const framesPerSecond = seconds > 0 ? frames / seconds : 0;
    const left = plan.frameCount - frames;
    return {
      rung: id,
      frames,
      totalFrames: plan.frameCount,
      framesPerSecond,
      ...(framesPerSecond > 0 ? { remainingMs: Math.round((1000 * left) / framesPerSecond) } : {}),
    };
  });
}
