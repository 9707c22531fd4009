import { createSeededRandom } from '../../server/core/random.ts';
import type { EncodeSet, TranscodeResult } from '../../workers/transcode/encode-set.ts';
import type { TranscodePlan } from '../../workers/transcode/plan.ts';
import { bdRate } from '../../workers/transcode/quality/bd-rate.ts';
import type { LadderReport } from '../../workers/transcode/quality/ladder-report.ts';
import type { QualityReport } from '../../workers/transcode/quality/score-title-kind.ts';
import { bolaRule, throughputRule } from '../../workers/transcode/simulate/abr-rules.ts';
import {
  type PlayedTitle,
  type SessionReport,
  simulateSession,
} from '../../workers/transcode/simulate/simulate-session.ts';
import { linkModels, makeTrace } from '../../workers/transcode/simulate/throughput-trace.ts';
import type { BenchRow } from '../report.ts';
import { contents } from './sources.ts';
import type { TranscodeStack } from './stack.ts';

type LadderMode = 'fixed' | 'per-title';

/** A published title with its scores, as a player would meet it. */
interface JudgedTitle {
  readonly set: EncodeSet;
  readonly quality: QualityReport;
  readonly analysisCpuSeconds: number;
  readonly encodeCpuSeconds: number;
  readonly played: PlayedTitle;
  readonly ladder: LadderReport;
}

/** Sessions are this many times the content: ten minutes. */
const repeats = 60;
const tracesPerLink = 8;
/** Enough for three samples of 720p, which is what such short contents have room for. */
const analysisCpuSeconds = 120;

async function playedTitle(stack: TranscodeStack, set: EncodeSet, quality: QualityReport): Promise<PlayedTitle> {
  const plan = await stack.readJson<TranscodePlan>(set.planObjectKey);
  const bytesOf = new Map(set.objects.map((object) => [object.key, object.bytes]));
  const video = set.files.filter((file) => file.kind === 'video').sort((a, b) => a.bitrateBps - b.bitrateBps);
  const seconds = plan.segments.map(({ start, end }) => ((end - start) * plan.rate.den) / plan.rate.num);
  const again = <T>(items: readonly T[]): T[] => Array.from({ length: repeats }, () => items).flat();
  const renditions = video.map((file) => {
    const keys = plan.segments.map(
      (_segment, index) => `${file.objectKey}seg-${String(index + 1).padStart(5, '0')}.m4s`,
    );
    const score = quality.rungs.find((rung) => rung.id === file.id)?.score ?? 0;
    const segmentBytes = again(keys.map((key) => bytesOf.get(key) ?? 0));
    return { averageBps: file.bitrateBps, peakBps: file.peakBps, score, segmentBytes };
  });
  return { segmentSeconds: again(seconds), renditions };
}

async function judge(stack: TranscodeStack, name: string, ladderMode: LadderMode): Promise<JudgedTitle> {
  const params = { titleId: `titles/bench-${name}`, sourceKey: `sources/${name}`, ladderMode };
  const budget = ladderMode === 'per-title' ? { analysisCpuSeconds } : {};
  const job = await stack.run('transcode', { ...params, ...budget });
  const result = job.result as unknown as TranscodeResult;
  const scored = await stack.run('score-title', { encodeSetKey: result.encodeSetKey });
  const quality = scored.result as unknown as QualityReport;
  const set = await stack.readJson<EncodeSet>(result.encodeSetKey);
  const ladder = await stack.readJson<LadderReport>(set.ladderObjectKey);
  const { analysisCpuSeconds: analysis = 0, encodeCpuSeconds = 0 } = result.cost ?? {};
  const played = await playedTitle(stack, set, quality);
  return { set, quality, ladder, analysisCpuSeconds: analysis, encodeCpuSeconds, played };
}

function ratesOf(title: JudgedTitle) {
  return title.quality.rungs.map(({ bitrateBps, score }) => ({ kbps: bitrateBps / 1000, score }));
}

function bdRow(name: string, own: JudgedTitle, fixed: JudgedTitle): BenchRow {
  const change = bdRate(ratesOf(fixed), ratesOf(own));
  const rungs = `${own.quality.rungs.length} rungs for ${fixed.quality.rungs.length}`;
  const metric = own.quality.metric === 'vmaf' ? 'VMAF' : 'SSIM';
  return {
    measure: `${name}: bits at equal ${metric}, per-title for fixed (${rungs})`,
    ours: change === undefined ? Number.NaN : change * 100,
    unit: '%',
    goal: '≤ 0 %',
    reached: change !== undefined && change <= 0,
  };
}

function storageRow(name: string, own: JudgedTitle, fixed: JudgedTitle): BenchRow {
  const top = (title: JudgedTitle) => Math.max(...ratesOf(title).map((rate) => rate.kbps));
  const peer = { name: 'fixed', value: top(fixed) };
  return { measure: `${name}: rate of the top rung`, ours: top(own), unit: 'kb/s', peer, ratio: top(own) / peer.value };
}

const rules = { throughput: () => throughputRule(), bola: () => bolaRule() } as const;

function sessions(title: PlayedTitle, link: (typeof linkModels)[number], rule: keyof typeof rules): SessionReport[] {
  return Array.from({ length: tracesPerLink }, (_, seed) => {
    return simulateSession(title, makeTrace(link, 3600, createSeededRandom(seed + 1)), rules[rule]());
  });
}

function mean(reports: readonly SessionReport[], read: (report: SessionReport) => number): number {
  return reports.reduce((sum, report) => sum + read(report), 0) / reports.length;
}

function abrRows(name: string, own: JudgedTitle, fixed: JudgedTitle): BenchRow[] {
  return linkModels.flatMap((link) =>
    (['throughput', 'bola'] as const).flatMap((rule) => {
      const mine = sessions(own.played, link, rule);
      const theirs = sessions(fixed.played, link, rule);
      const row = (what: string, unit: string, read: (report: SessionReport) => number): BenchRow => ({
        measure: `${name} on ${link.name} by ${rule}: ${what}`,
        ours: mean(mine, read),
        unit,
        peer: { name: 'fixed', value: mean(theirs, read) },
      });
      return [
        row('mean score', '', (report) => report.meanScore),
        row('rebuffering', '%', (report) => report.rebufferRatio * 100),
        row('switches', 'in 10 min', (report) => report.switches),
      ];
    }),
  );
}

export interface LadderBench {
  readonly rows: readonly BenchRow[];
  /** Plots by content. */
  readonly plots: ReadonlyMap<string, string>;
}

/** What one content shows: both ladders made, scored and played. */
interface JudgedContent {
  readonly name: string;
  readonly fixed: JudgedTitle;
  readonly own: JudgedTitle;
  readonly plot: string;
}

async function judgeContent(stack: TranscodeStack, { name, make }: (typeof contents)[number]): Promise<JudgedContent> {
  await stack.objects.putFile(`sources/${name}`, await make());
  const fixed = await judge(stack, name, 'fixed');
  const own = await judge(stack, name, 'per-title');
  if (own.ladder.mode !== 'per-title') throw new Error(`${name} kept the fixed ladder: ${own.ladder.reason}`);
  const svg = await stack.objects.read(own.set.ladderObjectKey.replace(/json$/, 'svg'));
  return { name, fixed, own, plot: Buffer.from(svg).toString() };
}

/**
 * Per-title ladders against the fixed one on four contents: bits at equal quality, cost, and sessions over links.
 * Contents are made side by side, so that both workers are busy: nothing here is a time, but for processor seconds.
 */
export async function ladderRows(stack: TranscodeStack): Promise<LadderBench> {
  const judged = await Promise.all(contents.map((content) => judgeContent(stack, content)));
  const rates = judged.flatMap(({ name, own, fixed }) => [bdRow(name, own, fixed), storageRow(name, own, fixed)]);
  const analysis = judged.reduce((sum, { own }) => sum + own.analysisCpuSeconds, 0);
  const encode = judged.reduce((sum, { own }) => sum + own.encodeCpuSeconds, 0);
  const peer = { name: 'encodes of 10 s', value: encode };
  const cost = { measure: 'CPU of the trials, 3 samples a content', ours: analysis, unit: 'CPU-s', peer };
  const sessionRows = judged.flatMap(({ name, own, fixed }) => abrRows(name, own, fixed));
  return { rows: [...rates, cost, ...sessionRows], plots: new Map(judged.map(({ name, plot }) => [name, plot])) };
}
