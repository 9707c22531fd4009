/** A part of a transcode, as the jobs area has it. */
export interface TranscodePart {
  readonly kind: string;
  readonly params: unknown;
  readonly isDone: boolean;
  /** Frames that it last reported; 0 before. */
  readonly frames: number;
  /** Unix ms at which its newest attempt began; undefined before. */
  readonly startMs?: number | undefined;
  /** Unix ms of its end; undefined while it has none. */
  readonly endMs?: number | undefined;
  /** Ids of the rungs that it encodes or has encoded, all others were there already; undefined while that is not known. */
  readonly encodes?: readonly string[] | undefined;
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
  /** Of the last minute in which chunks were encoded, over all workers; 0 before the first chunk began. */
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
    const own = (byCodec.get(codec) ?? []).map((part) => ({ ...part, frames: framesDone(plan, id, part) }));
    const frames = own.reduce((sum, part) => sum + part.frames, 0);
    const left = plan.frameCount - frames;
    const framesPerSecond = paceOf(id, own, left === 0 ? Math.max(...own.map(({ endMs }) => endMs ?? nowMs)) : nowMs);
    const common = { rung: id, frames, totalFrames: plan.frameCount, framesPerSecond };
    if (left === 0) return { ...common, remainingMs: 0 };
    return framesPerSecond > 0 ? { ...common, remainingMs: Math.round((1000 * left) / framesPerSecond) } : common;
  });
}

function framesDone(plan: ProgressPlan, rung: string, part: TranscodePart): number {
  const { start = 0, end = 0 } = plan.chunks[(part.params as ChunkParams).chunk ?? -1] ?? {};
  return part.isDone || wasThere(rung, part) ? end - start : Math.min(part.frames, end - start);
}

function wasThere(rung: string, { encodes }: TranscodePart): boolean {
  return encodes !== undefined && !encodes.includes(rung);
}

/** What is long past says little of the pace: workers come and go, and a server may have been away. */
const paceWindowMs = 60_000;

/**
 * Frames a second of a rung in the last minute, each chunk taken as encoded evenly from its start to its end. Chunks of
 * which the rung was there already are left out: they say nothing of those that are to be encoded.
 */
function paceOf(rung: string, parts: readonly TranscodePart[], nowMs: number): number {
  const encoded = parts.flatMap((part) => {
    const { startMs, endMs = nowMs, frames } = part;
    return startMs === undefined || wasThere(rung, part) ? [] : [{ startMs, endMs: Math.min(endMs, nowMs), frames }];
  });
  const fromMs = Math.max(nowMs - paceWindowMs, Math.min(...encoded.map(({ startMs }) => startMs)));
  const spanMs = nowMs - fromMs;
  if (encoded.length === 0 || spanMs <= 0) return 0;
  const frames = encoded.reduce((sum, part) => {
    const withinMs = Math.max(0, part.endMs - Math.max(part.startMs, fromMs));
    return sum + (part.frames * withinMs) / Math.max(1, part.endMs - part.startMs);
  }, 0);
  return (frames * 1000) / spanMs;
}
