import type { Rung } from '../plan/ladder.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import { toNumber } from '../rational.ts';

/** Small pictures of a title at equal distances, many on one sheet. */
export type ThumbnailPlan = {
  /** Rung that the pictures are taken from: the smallest, of the first codec. */
  readonly rungId: string;
  /** Picture i is frame `i * everyFrames`. */
  readonly everyFrames: number;
  readonly count: number;
  readonly columns: number;
  readonly rows: number;
  readonly width: number;
  readonly height: number;
};

const columns = 5;
const rows = 5;
/** Longer side of a picture, in pixels. */
const longSide = 160;
const mostSeconds = 10;
/** Pictures that a short title has at least, where it is a second long for each. */
const wanted = 100;

function even(value: number): number {
  return Math.max(2, Math.round(value / 2) * 2);
}

function smallest(rungs: readonly Rung[]): Rung | undefined {
  const codec = rungs.find((rung) => rung.codec === 'h264')?.codec ?? rungs[0]?.codec;
  return rungs.filter((rung) => rung.codec === codec).sort((a, b) => a.width * a.height - b.width * b.height)[0];
}

/** One picture a second, less often in long titles, every ten seconds at least; undefined without a rung. */
export function planThumbnails(plan: TranscodePlan): ThumbnailPlan | undefined {
  const rung = smallest(plan.rungs);
  if (!rung) return undefined;
  const seconds = plan.frameCount / toNumber(plan.rate);
  const interval = Math.min(mostSeconds, Math.max(1, Math.ceil(seconds / wanted)));
  const everyFrames = Math.max(1, Math.round(interval * toNumber(plan.rate)));
  const scale = longSide / Math.max(rung.width, rung.height);
  return {
    rungId: rung.id,
    everyFrames,
    count: Math.ceil(plan.frameCount / everyFrames),
    columns,
    rows,
    width: even(rung.width * scale),
    height: even(rung.height * scale),
  };
}

/** `sheet-00001.jpg` for index 0. */
export function sheetName(index: number): string {
  return `sheet-${String(index + 1).padStart(5, '0')}.jpg`;
}
