import type { LoudnessReport } from '../encode/loudness.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import type { TrackAudit } from './track-audit.ts';

type TitleCheck = { readonly name: string; readonly ok: boolean; readonly detail: string };

/** What one track was measured to hold. */
export type VerifiedTrack = {
  readonly id: string;
  readonly samples: number;
  readonly durationTicks: number;
  readonly segments: number;
  readonly windowSeconds: number;
  readonly windowPeakBps: number;
  readonly declaredPeakBps: number;
};

/** Outcome of all checks over a stitched title. */
export type TitleVerification = {
  readonly ok: boolean;
  readonly checks: readonly TitleCheck[];
  readonly tracks: readonly VerifiedTrack[];
};

/** What `verification.json` holds. */
export type VerificationReport = TitleVerification & {
  /** What the probe found odd and not worth a refusal, and what encoding met and mended. */
  readonly warnings: readonly string[];
};

/** What was measured of an audio track, with what its plan and manifest say of it. */
export interface AuditedAudio {
  readonly audit: TrackAudit;
  readonly timescale: number;
  /** Ticks of priming at its start that players leave out. */
  readonly skipTicks: number;
  readonly declaredPeakBps: number;
  /** Samples of one coded frame: as near as a length can be. */
  readonly frameSamples: number;
  readonly loudness: LoudnessReport | null;
}

/** What was measured of a rung, with what its plan and manifest say of it. */
export interface AuditedVideo {
  readonly audit: TrackAudit;
  readonly declaredPeakBps: number;
  readonly maxrateKbps: number;
  readonly bufsizeKbps: number;
}

function check(name: string, faults: readonly string[], detail: string): TitleCheck {
  return { name, ok: faults.length === 0, detail: faults.length === 0 ? detail : faults.slice(0, 10).join('; ') };
}

function framesCheck(plan: TranscodePlan, video: readonly AuditedVideo[]): TitleCheck {
  const wanted = plan.frameCount * plan.ticksPerFrame;
  const faults = video.flatMap(({ audit }) => [
    ...(audit.samples === plan.frameCount ? [] : [`${audit.id}: ${audit.samples} frames`]),
    ...(audit.durationTicks === wanted ? [] : [`${audit.id}: ${audit.durationTicks} ticks, not ${wanted}`]),
  ]);
  return check('frame_count', faults, `${plan.frameCount} frames in each of ${video.length} rungs`);
}

function alignmentCheck(plan: TranscodePlan, video: readonly AuditedVideo[]): TitleCheck {
  const wanted = plan.segments.map((segment) => segment.start * plan.ticksPerFrame).join();
  const faults = video.filter(({ audit }) => audit.segmentStartTicks.join() !== wanted).map(({ audit }) => audit.id);
  return check('aligned_segments', faults, `${plan.segments.length} segments start at the same ticks in every rung`);
}

function startCheck(video: readonly AuditedVideo[]): TitleCheck {
  const faults = video
    .filter(({ audit }) => audit.firstPresentationTicks !== 0)
    .map(({ audit }) => `${audit.id} starts at tick ${audit.firstPresentationTicks}`);
  return check('starts_at_zero', faults, 'the first frame is presented at 0');
}

/** Audio must end with the video: a difference of a frame or more would grow into a gap before the next title. */
function lengthCheck(plan: TranscodePlan, tracks: readonly AuditedAudio[]): TitleCheck {
  const judged = tracks.map((audio) => lengthOf(plan, audio));
  const details = judged.map(({ detail }, index) => (index === 0 ? detail : `${tracks[index]?.audit.id}: ${detail}`));
  return check(
    'audio_video_length',
    judged.flatMap(({ ok }, index) => (ok ? [] : (details[index] ?? ''))),
    details.slice(0, 10).join('; '),
  );
}

function lengthOf(plan: TranscodePlan, audio: AuditedAudio): { ok: boolean; detail: string } {
  const { num, den } = plan.rate;
  // In units of 1 / (audio clock x rate), where both lengths are whole numbers.
  const apart = (audio.audit.durationTicks - audio.skipTicks) * num - plan.frameCount * den * audio.timescale;
  const limit = audio.frameSamples * num;
  const inMs = (units: number) => ((units * 1000) / (audio.timescale * num)).toFixed(3);
  const detail = `audio is ${inMs(apart)} ms longer than video, limit ±${inMs(limit)} ms`;
  return { ok: Math.abs(apart) < limit, detail };
}

/** Most that the loudness of a whole track may miss its target by, in LU (EBU R 128 allows 0.5 for files). */
const loudnessTolerance = 0.5;

/** Only a plain gain promises its loudness; where peaks forbade it, what came out is told and not judged. */
function loudnessCheck(tracks: readonly AuditedAudio[]): TitleCheck {
  const normalised = tracks.flatMap(({ audit, loudness }) => (loudness ? [{ id: audit.id, ...loudness }] : []));
  const told = normalised.map(({ id, targetLufs, source, result, mode }) => {
    const text = (value: number | null) => (value === null ? 'silence' : `${value.toFixed(1)} LUFS`);
    const detail = `${id}: ${text(source.integratedLufs)} to ${text(result.integratedLufs)} (${mode}), target ${targetLufs}`;
    const miss = Math.abs((result.integratedLufs ?? Number.NEGATIVE_INFINITY) - targetLufs);
    return { detail, ok: mode !== 'gain' || miss <= loudnessTolerance };
  });
  const faults = told.filter(({ ok }) => !ok).map(({ detail }) => detail);
  return check(
    'loudness',
    faults,
    told
      .map(({ detail }) => detail)
      .slice(0, 10)
      .join('; '),
  );
}

function peakCheck(tracks: readonly { audit: TrackAudit; declaredPeakBps: number }[]): TitleCheck {
  const faults = tracks
    .filter(({ audit, declaredPeakBps }) => audit.windowPeakBps > declaredPeakBps)
    .map(({ audit, declaredPeakBps }) => `${audit.id}: ${audit.windowPeakBps} b/s over ${declaredPeakBps} declared`);
  return check('window_peak', faults, 'no window of one target duration takes more than the declared rate');
}

/**
 * The rate control's promise: a window of T seconds takes at most maxrate x T plus one buffer, and one buffer more for
 * a chunk edge inside it, where rate control starts anew. 5 % for boxes and rounding.
 */
function capCheck(video: readonly AuditedVideo[]): TitleCheck {
  const faults = video
    .map(({ audit, maxrateKbps, bufsizeKbps }) => {
      const capBps = (maxrateKbps + (2 * bufsizeKbps) / audit.windowSeconds) * 1000 * 1.05;
      return { id: audit.id, peak: audit.windowPeakBps, capBps: Math.ceil(capBps) };
    })
    .filter(({ peak, capBps }) => peak > capBps)
    .map(({ id, peak, capBps }) => `${id}: ${peak} b/s over the cap of ${capBps}`);
  return check('rate_cap', faults, 'every rung stays within maxrate and its buffer, joins included');
}

/** Judges a stitched title by what its published bytes hold. */
export function verifyTitle(
  plan: TranscodePlan,
  video: readonly AuditedVideo[],
  audio: readonly AuditedAudio[],
): TitleVerification {
  const tracks = [...video, ...audio];
  const continuity = tracks.flatMap(({ audit }) => audit.faults.map((fault) => `${audit.id}: ${fault}`));
  const checks = [
    framesCheck(plan, video),
    check('continuous_ticks', continuity, 'every sample starts where the one before it ends'),
    alignmentCheck(plan, video),
    startCheck(video),
    ...(audio.length > 0 ? [lengthCheck(plan, audio)] : []),
    ...(audio.some(({ loudness }) => loudness) ? [loudnessCheck(audio)] : []),
    peakCheck(tracks),
    capCheck(video),
  ];
  return {
    ok: checks.every((each) => each.ok),
    checks,
    tracks: tracks.map(({ audit, declaredPeakBps }) => ({
      id: audit.id,
      samples: audit.samples,
      durationTicks: audit.durationTicks,
      segments: audit.segmentStartTicks.length,
      windowSeconds: audit.windowSeconds,
      windowPeakBps: audit.windowPeakBps,
      declaredPeakBps,
    })),
  };
}
