import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ChunkRecord } from '../workers/transcode/encode/encode-chunk.ts';
import type { BenchReport } from './report.ts';
import { chunkedRows, oneProcessRows } from './transcode/chunked.ts';
import { ladderRows } from './transcode/ladders.ts';
import type { contents } from './transcode/sources.ts';
import { startStack } from './transcode/stack.ts';
import { twoHourRows } from './transcode/two-hours.ts';

const imageFolder = resolve(import.meta.dirname, '../docs/img');

/** Transcoding through jobs, queue and two worker processes, beside plain ffmpeg. Sources are made once and kept. */
export async function runTranscodeBench(): Promise<BenchReport> {
  await using stack = await startStack();
  const { rows: chunked, plan, planKey } = await chunkedRows(stack);
  const oneProcess = await oneProcessRows(stack, plan);
  const chunk = await stack.run('encode-chunk', { plan: planKey, chunk: 1 });
  const twoHours = await twoHourRows(stack, plan, chunk.result as unknown as ChunkRecord);
  return { name: 'transcode', rows: [...chunked, ...oneProcess, ...twoHours] };
}

/** A content's per-title ladder beside the fixed one. Writes its plot to docs/img. */
export async function runLadderBench(content: keyof typeof contents): Promise<BenchReport> {
  await using stack = await startStack();
  const { rows, plot } = await ladderRows(stack, content);
  await mkdir(imageFolder, { recursive: true });
  await writeFile(join(imageFolder, `ladder-${content}.svg`), plot);
  return { name: `ladder-${content}`, rows };
}
