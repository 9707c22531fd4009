import { AppError } from '../../../server/core/errors.ts';
import type { ObjectStore } from '../../../server/stores/objects/object-store.ts';
import type { ChunkRecord } from '../encode/encode-chunk.ts';
import type { TranscodePlan } from '../plan/plan.ts';
import { toNumber } from '../rational.ts';
import { findJson } from '../stored-json.ts';

/** What one rung cost. Rungs share a process, so each bears its part of it by pixels. */
export type RungCost = {
  readonly id: string;
  readonly cpuSeconds: number;
  /** Processor seconds for a second of the title, over the chunks that were encoded; 0 when none was. */
  readonly cpuPerSecond: number;
  readonly chunksEncoded: number;
  /** Taken from an earlier encode of the same content. */
  readonly chunksReused: number;
};

/** Processor time that a title version took, as of the run that published it. */
export type CostReport = {
  readonly format: 1;
  readonly rungs: readonly RungCost[];
  readonly encodeCpuSeconds: number;
  /** Trials of a per-title ladder. */
  readonly analysisCpuSeconds: number;
};

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function rungCost(plan: TranscodePlan, id: string, chunks: readonly ChunkRecord[]): RungCost {
  let cpuSeconds = 0;
  let frames = 0;
  let chunksEncoded = 0;
  for (const chunk of chunks) {
    const rung = chunk.rungs.find((each) => each.id === id);
    if (!rung || rung.reused) continue;
    chunksEncoded++;
    frames += chunk.end - chunk.start;
    cpuSeconds += rung.cpuSeconds;
  }
  const cpuPerSecond = frames === 0 ? 0 : (cpuSeconds * toNumber(plan.rate)) / frames;
  const chunksReused = chunks.length - chunksEncoded;
  return { id, cpuSeconds: rounded(cpuSeconds), cpuPerSecond: rounded(cpuPerSecond), chunksEncoded, chunksReused };
}

/** Sums what the encodes of a title reported. */
export function costReport(
  plan: TranscodePlan,
  chunks: readonly ChunkRecord[],
  analysisCpuSeconds: number,
): CostReport {
  const rungs = plan.rungs.map((rung) => rungCost(plan, rung.id, chunks));
  const encodeCpuSeconds = rounded(rungs.reduce((sum, rung) => sum + rung.cpuSeconds, 0));
  return { format: 1, rungs, encodeCpuSeconds, analysisCpuSeconds: rounded(analysisCpuSeconds) };
}

/** Reports that may change or differ by run lie beside a version's folder, which never changes. */
export function reportKey(title: string, version: string, name: 'cost' | 'quality'): string {
  return `reports/${title}/${version}/${name}.json`;
}

/** Stores the first report of a version; a later run of the same encodes cost less, and what it says is not kept. */
export async function keepCost(
  objects: ObjectStore,
  key: string,
  report: CostReport,
  signal: AbortSignal,
): Promise<CostReport> {
  try {
    const body = Buffer.from(JSON.stringify(report));
    await objects.put(key, body, { ifAbsent: true, contentType: 'application/json', signal });
    return report;
  } catch (error) {
    if (!(error instanceof AppError) || error.reason !== 'OBJECT_EXISTS') throw error;
    return (await findJson<CostReport>(objects, key, signal)) ?? report;
  }
}
