import { jsonDigest } from '../../../server/core/canonical-json.ts';
import type { ObjectStore } from '../../../server/stores/objects/object-store.ts';
import type { JobContext } from '../../queue/job-kind.ts';
import type { TranscodeParams } from '../params.ts';
import { sourceRateBps } from '../plan/complexity.ts';
import type { CodecChoice } from '../plan/ladder.ts';
import type { PlannedChunk, TranscodePlan } from '../plan/plan.ts';
import { savePlan } from '../plan/plan-store.ts';
import { toNumber } from '../rational.ts';
import type { SourceVideo } from '../source/source-probe.ts';
import { putJsonOnce } from '../stored-json.ts';
import { type AnalysedCodec, analyseCodec } from './analyse-codec.ts';
import { fixedReport, type LadderReport } from './ladder-report.ts';
import type { Metric } from './metric.ts';
import { leastSamples, sampleGops, trialGrid, trialSecondsPerFrame } from './trial-plan.ts';

/** Codecs that trials can judge: there is no metric here for HDR pictures. */
function sdrOf(codecs: readonly CodecChoice[]): CodecChoice[] {
  return codecs.filter(({ hdr }) => hdr === undefined);
}

/** What is known before the first trial. Empty samples = the fixed ladder. */
export type LadderPreparation = {
  readonly reason: string;
  readonly samples: readonly PlannedChunk[];
  readonly metric: Metric;
  readonly maxKbps: number;
};

/** Titles below have too few GOPs to stand for anything. */
const leastSeconds = 10;
/** From here on a title pays for its analysis unasked. */
const unaskedSeconds = 60;
/** Processor seconds an analysis may take unless the job says otherwise: what the title lasts, and not less than this. */
const leastBudgetSeconds = 240;
/** A ladder never takes more than the source itself, with some room for its better encoder. */
const sourceRateRoom = 1.2;

interface PrepareInput {
  readonly plan: TranscodePlan;
  readonly video: SourceVideo;
  readonly params: TranscodeParams;
  readonly codecs: readonly CodecChoice[];
  readonly metric: Metric;
}

/** Decides whether a title gets its own ladder and which GOPs stand for it. Pure. */
export function prepareLadder({ plan, video, params, codecs, metric }: PrepareInput): LadderPreparation {
  const seconds = plan.frameCount / toNumber(plan.rate);
  const maxKbps = (sourceRateBps(video, seconds) / 1000) * sourceRateRoom;
  const fixed = (reason: string): LadderPreparation => ({ reason, samples: [], metric, maxKbps });
  if (params.ladder) return fixed('the job brings its own steps');
  if (params.ladderMode === 'fixed') return fixed('the job asks for it');
  if (seconds < leastSeconds)
    return fixed(`${seconds.toFixed(1)} s are less than the ${leastSeconds} s that trials need`);
  if (params.ladderMode === undefined && seconds < unaskedSeconds) {
    return fixed(`below ${unaskedSeconds} s a title gets trials only when the job asks for them`);
  }
  const budget = params.analysisCpuSeconds ?? Math.max(leastBudgetSeconds, seconds);
  const grids = sdrOf(codecs).flatMap((choice) => trialGrid(plan, choice));
  const perSample = trialSecondsPerFrame(plan, grids) * plan.gopFrames;
  const samples = sampleGops(plan, video, Math.floor(budget / perSample));
  if (samples.length < leastSamples) {
    const needed = Math.ceil(perSample * leastSamples);
    return fixed(`trials need about ${needed} s of processor time, the budget is ${Math.floor(budget)} s`);
  }
  return { reason: `${samples.length} samples stand for the title`, samples, metric, maxKbps };
}

type ChosenLadder = {
  /** Key of the final plan. */
  readonly plan: string;
  readonly cpuSeconds: number;
};

const untriedNote = 'HDR rungs are those of the fixed ladder: no metric here judges HDR pictures';

async function finish(
  objects: ObjectStore,
  plan: TranscodePlan,
  report: LadderReport,
  cpuSeconds: number,
  signal: AbortSignal,
): Promise<ChosenLadder> {
  const ladderKey = `transcode/ladders/${jsonDigest(report)}.json`;
  await putJsonOnce(objects, ladderKey, report, signal);
  return { plan: await savePlan(objects, { ...plan, ladderKey }, signal), cpuSeconds };
}

/**
 * Gives a plan its final rungs and the document that explains them. Trials run as child jobs; where they fail the
 * rungs that the plan has (the fixed ladder) stay, and the report says why.
 */
export async function chooseLadder(
  objects: ObjectStore,
  context: JobContext,
  plan: TranscodePlan,
  codecs: readonly CodecChoice[],
  prepared: LadderPreparation,
): Promise<ChosenLadder> {
  const { signal } = context;
  const { reason, samples } = prepared;
  if (samples.length === 0) {
    return finish(objects, plan, fixedReport(plan.rungs, reason, 'a step of the ladder'), 0, signal);
  }
  const analysed: Exclude<AnalysedCodec, { failure: string }>[] = [];
  for (const choice of sdrOf(codecs)) {
    const found = await analyseCodec({ objects, context, plan, choice, ...prepared });
    if (found.failure !== undefined) {
      const why = `trials failed: ${found.failure}`;
      return finish(objects, plan, fixedReport(plan.rungs, why, 'a step of the fixed ladder'), 0, signal);
    }
    analysed.push(found);
  }
  const untried = plan.rungs.filter((rung) => rung.hdr !== undefined);
  const report: LadderReport = {
    format: 1,
    mode: 'per-title',
    reason,
    notes: [...analysed.flatMap(({ notes }) => notes), ...(untried.length > 0 ? [untriedNote] : [])],
    samples: samples.map(({ start, end }) => ({ start, end })),
    codecs: analysed.map(({ ladder }) => ladder),
  };
  const cpuSeconds = analysed.reduce((sum, each) => sum + each.cpuSeconds, 0);
  const rungs = [...analysed.flatMap((each) => each.rungs), ...untried];
  return finish(objects, { ...plan, rungs }, report, cpuSeconds, signal);
}
