import { createSeededRandom } from '../../server/core/random.ts';
import type { TranscodePlan } from '../../workers/transcode/plan/plan.ts';
import type { EncodeSet, TranscodeResult } from '../../workers/transcode/publish/encode-set.ts';
import type { LadderReport } from '../../workers/transcode/quality/ladder-report.ts';
import type { QualityReport } from '../../workers/transcode/quality/score-title-kind.ts';
import type { BenchRow } from '../report.ts';
import { bdRate } from './bd-rate.ts';
import { bolaRule, throughputRule } from './simulate/abr-rules.ts';
import { type PlayedTitle, type SessionReport, simulateSession } from './simulate/simulate-session.ts';
import { linkModels, makeTrace } from './simulate/throughput-trace.ts';
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

/** Every rung of both ladders: what was compared. */
function rungRows(own: JudgedTitle, fixed: JudgedTitle): BenchRow[] {
  const of = (title: JudgedTitle, ladder: string) =>
    title.quality.rungs.map(({ id, bitrateBps, score }): BenchRow => {
      const rate = `${Math.round(bitrateBps / 1000)} kb/s`;
      return { measure: `${ladder} ${id.replace('video-', '')} at ${rate}`, ours: score, unit: title.quality.metric };
    });
  return [...of(fixed, 'fixed'), ...of(own, 'per-title')];
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
  /** SVG of the trials and the choice. */
  readonly plot: string;
}

/** A content's per-title ladder against the fixed one: bits at equal quality, cost, and sessions over links. */
export async function ladderRows(stack: TranscodeStack, name: keyof typeof contents): Promise<LadderBench> {
  await stack.objects.putFile(`sources/${name}`, await contents[name]());
  const fixed = await judge(stack, name, 'fixed');
  const own = await judge(stack, name, 'per-title');
  if (own.ladder.mode !== 'per-title') throw new Error(`${name} kept the fixed ladder: ${own.ladder.reason}`);
  const svg = await stack.objects.read(own.set.ladderObjectKey.replace(/json$/, 'svg'));
  const peer = { name: 'encodes of 10 s', value: own.encodeCpuSeconds };
  const cost = { measure: 'CPU of the trials of 3 samples', ours: own.analysisCpuSeconds, unit: 'CPU-s', peer };
  const rows = [bdRow(name, own, fixed), storageRow(name, own, fixed), ...rungRows(own, fixed), cost];
  return { rows: [...rows, ...abrRows(name, own, fixed)], plot: Buffer.from(svg).toString() };
}
