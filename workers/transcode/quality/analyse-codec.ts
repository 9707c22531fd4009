import type { ObjectStore } from '../../../server/stores/objects/object-store.ts';
import type { JobContext } from '../../queue/job-kind.ts';
import { codecTraits } from '../codecs/video-codec.ts';
import { type CodecChoice, ceilingKbps, makeRung, type Rung } from '../plan/ladder.ts';
import type { PlannedChunk, TranscodePlan } from '../plan/plan.ts';
import { savePlan } from '../plan/plan-store.ts';
import { type ChosenStep, chooseSteps, ssimRules, vmafRules } from './choose-steps.ts';
import { frontier, type RatePoint, upperHull } from './hull.ts';
import type { CodecLadder, LadderPoint } from './ladder-report.ts';
import type { Metric } from './metric.ts';
import { runTrials, type TrialPoint } from './run-trials.ts';
import { trialGrid, trialPlan, trialRung } from './trial-plan.ts';

interface CodecAnalysis {
  readonly objects: ObjectStore;
  readonly context: JobContext;
  /** The title's plan, its rungs not final. */
  readonly plan: TranscodePlan;
  readonly choice: CodecChoice;
  readonly samples: readonly PlannedChunk[];
  readonly metric: Metric;
  /** Rate of the source with some room. */
  readonly maxKbps: number;
}

/** The rungs that the trials of a codec led to, or why there are none: the whole title then takes the fixed ladder. */
export type AnalysedCodec =
  | { readonly failure: string }
  | {
      readonly failure?: never;
      readonly rungs: readonly Rung[];
      readonly ladder: CodecLadder;
      readonly notes: readonly string[];
      readonly cpuSeconds: number;
    };

/** VMAF is looked at on so many points at most: it costs five times an encode. */
const mostVmafPoints = 8;
/** Cap of a rung by its mean: what authoring guides allow between mean and peak is 2. */
const capRatio = 1.5;

/** Evenly spread, both ends kept. */
function thinned<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  const at = (index: number) => items[Math.round((index * (items.length - 1)) / (most - 1))];
  return Array.from({ length: most }, (_, index) => at(index)).flatMap((item) => item ?? []);
}

/** The most that a rung may take: the source's own rate, or what the fixed ladder's caps at that size are good for. */
function mostOf({ plan, choice, maxKbps }: CodecAnalysis): { kbps: number; why: string } {
  const ceiling = ceilingKbps(plan.video.display, plan.rate) * codecTraits(choice.codec).relativeRate;
  if (maxKbps <= ceiling) return { kbps: maxKbps, why: 'as much as the source itself takes' };
  return { kbps: ceiling, why: 'as much as any rung of this size may take' };
}

async function round(analysis: CodecAnalysis, name: string, rungs: readonly Rung[], metric: Metric) {
  const { objects, context, samples, choice } = analysis;
  const plan = trialPlan(analysis.plan, samples, rungs);
  const key = await savePlan(objects, plan, context.signal);
  return runTrials(context, `${name}-${choice.codec}`, key, plan, metric);
}

function ratePoints(rungs: readonly Rung[], points: readonly TrialPoint[]): (RatePoint & { readonly rung: Rung })[] {
  return rungs.flatMap((rung) => {
    const point = points.find((each) => each.id === rung.id);
    const height = Math.min(rung.width, rung.height);
    return point ? [{ height, crf: rung.crf, kbps: point.kbps, score: point.score, rung }] : [];
  });
}

/** The first rung of a height bears its name; further ones add their rate. */
function nameOf(steps: readonly ChosenStep[], index: number, kbps: number): string {
  const height = steps[index]?.height ?? 0;
  const isFirst = steps.findIndex((step) => step.height === height) === index;
  return isFirst ? `${height}p` : `${height}p-${Math.round(kbps)}k`;
}

/**
 * The ladder of one codec: SSIM on the whole grid, VMAF (where a build has it) on the points along its frontier, rungs
 * by the rules of choose-steps, and each of those encoded once more to know its true rate.
 */
export async function analyseCodec(analysis: CodecAnalysis): Promise<AnalysedCodec> {
  const { plan, choice } = analysis;
  const grid = trialGrid(plan, choice);
  const tried = await round(analysis, 'trial', grid, 'ssim');
  if (tried.failure !== '') return { failure: tried.failure };
  const points = ratePoints(grid, tried.points);
  const hull = upperHull(points);
  const front = frontier(points);
  const notes: string[] = [];
  const asked = analysis.metric === 'vmaf' ? thinned(front, mostVmafPoints).map((point) => point.rung) : [];
  const scored = asked.length > 0 ? await round(analysis, 'vmaf', asked, 'vmaf') : undefined;
  if (scored && scored.failure !== '')
    notes.push(`${choice.codec}: chosen by SSIM, as VMAF failed (${scored.failure})`);
  const vmafPoints = ratePoints(asked, scored?.points ?? []);
  const metric: Metric = vmafPoints.length > 0 ? 'vmaf' : 'ssim';
  const curve = metric === 'vmaf' ? frontier(vmafPoints) : front;
  const rules = metric === 'vmaf' ? vmafRules : ssimRules;
  const { crfStep } = codecTraits(choice.codec);
  const steps = chooseSteps(points, curve, { ...rules, crfStep, most: mostOf(analysis) });
  if (steps.length === 0) return { failure: 'the trials left no step' };
  const trials = steps.map(({ height, crf }) => trialRung(plan, choice, height, crf));
  const confirmed = await round(analysis, 'confirm', trials, metric);
  if (confirmed.failure !== '') notes.push(`${choice.codec}: rates are interpolated (${confirmed.failure})`);
  const rungs = steps.map((step, index) => {
    const kbps = confirmed.points.find((point) => point.id === trials[index]?.id)?.kbps ?? step.kbps;
    const maxrateKbps = Math.max(50, Math.round(kbps * capRatio));
    const request = { shortSide: step.height, crf: step.crf, maxrateKbps, name: nameOf(steps, index, kbps) };
    return makeRung(request, plan.video.display, plan.rate, choice);
  });
  const shown = points.map(({ rung, score, ...point }): LadderPoint => {
    const vmaf = vmafPoints.find((each) => each.rung.id === rung.id)?.score;
    const onHull = hull.some((each) => each.rung.id === rung.id);
    return {
      height: point.height,
      crf: point.crf,
      kbps: point.kbps,
      ssimDb: score,
      onHull,
      ...(vmaf === undefined ? {} : { vmaf }),
    };
  });
  const explained = rungs.map(({ id, crf, maxrateKbps }, index) => {
    const measured = confirmed.points.find((point) => point.id === trials[index]?.id);
    const { height = 0, kbps = 0, score = 0, why = '' } = steps[index] ?? {};
    return { id, height, crf, maxrateKbps, kbps: measured?.kbps ?? kbps, score: measured?.score ?? score, why };
  });
  const ladder: CodecLadder = { ...choice, metric, points: shown, rungs: explained };
  const cpuSeconds = tried.cpuSeconds + (scored?.cpuSeconds ?? 0) + confirmed.cpuSeconds;
  return { rungs, ladder, notes, cpuSeconds };
}
