import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ChunkRecord } from '../workers/transcode/encode-chunk.ts';
import type { BenchReport } from './report.ts';
import { chunkedRows, oneProcessRows } from './transcode/chunked.ts';
import { ladderRows } from './transcode/ladders.ts';
import { startStack } from './transcode/stack.ts';
import { twoHourRows } from './transcode/two-hours.ts';

const imageFolder = resolve(import.meta.dirname, '../docs/img');

/**
 * Transcoding through jobs, queue and two worker processes, beside plain ffmpeg; then per-title ladders beside the
 * fixed one. Sources are made once and kept. Writes the plots of the ladders to docs/img.
 */
export async function runTranscodeBench(): Promise<BenchReport> {
  await using stack = await startStack();
  const { rows: chunked, plan, planKey } = await chunkedRows(stack);
  const oneProcess = await oneProcessRows(stack, plan);
  const chunk = await stack.run('encode-chunk', { plan: planKey, chunk: 1 });
  const twoHours = await twoHourRows(stack, plan, chunk.result as unknown as ChunkRecord);
  const ladders = await ladderRows(stack);
  await mkdir(imageFolder, { recursive: true });
  for (const [name, svg] of ladders.plots) await writeFile(join(imageFolder, `ladder-${name}.svg`), svg);
  return { name: 'transcode', rows: [...chunked, ...oneProcess, ...twoHours, ...ladders.rows] };
}
