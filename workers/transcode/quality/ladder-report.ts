import type { VideoCodec, VideoEncoder } from '../codecs/video-codec.ts';
import type { Rung } from '../plan/ladder.ts';
import type { Metric } from './metric.ts';

/** Whether rungs are those of the fixed ladder or chosen by trials of the title. */
export type LadderMode = 'fixed' | 'per-title';

/** One trial over all samples. */
export type LadderPoint = {
  /** Short side. */
  readonly height: number;
  readonly crf: number;
  readonly kbps: number;
  readonly ssimDb: number;
  /** Absent where it was not measured: only points near the hull are. */
  readonly vmaf?: number;
  readonly onHull: boolean;
};

type ExplainedRung = {
  readonly id: string;
  readonly height: number;
  readonly crf: number;
  readonly maxrateKbps: number;
  /** Rate of the samples at that CRF; 0 where it was not tried. */
  readonly kbps: number;
  /** In the scale of `metric`; 0 where it was not tried. */
  readonly score: number;
  readonly why: string;
};

/** The trials of a codec and the rungs chosen by them, both for people to look at. */
export type CodecLadder = {
  readonly codec: VideoCodec;
  readonly encoder: VideoEncoder;
  /** Scale of the choice: SSIM in dB, or VMAF. */
  readonly metric: Metric;
  readonly points: readonly LadderPoint[];
  readonly rungs: readonly ExplainedRung[];
};

/** Why a title has the rungs it has; stored as `ladder.json` beside its encode set. */
export type LadderReport = {
  readonly format: 1;
  readonly mode: LadderMode;
  /** Why this way was taken. */
  readonly reason: string;
  /** What went wrong on the way and did not stop it. */
  readonly notes: readonly string[];
  /** Frames `[start, end)` that stood for the title. */
  readonly samples: readonly { readonly start: number; readonly end: number }[];
  readonly codecs: readonly CodecLadder[];
};

/** The report of a ladder that no trial chose. */
export function fixedReport(rungs: readonly Rung[], reason: string, why: string): LadderReport {
  const codecs = [...Map.groupBy(rungs, (rung) => rung.codec)].map(([codec, own]): CodecLadder => {
    const encoder = own[0]?.encoder ?? 'libx264';
    const explained = own.map(({ id, width, height, crf, maxrateKbps }) => {
      return { id, height: Math.min(width, height), crf, maxrateKbps, kbps: 0, score: 0, why };
    });
    return { codec, encoder, metric: 'ssim', points: [], rungs: explained };
  });
  return { format: 1, mode: 'fixed', reason, notes: [], samples: [], codecs };
}
