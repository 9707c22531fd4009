import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';

/** One measured figure; a ratio of two things measured side by side in one run, where there is a peer. */
export interface BenchRow {
  /** What was measured, e.g. `unary calls per server CPU-second`. */
  readonly measure: string;
  readonly ours: number;
  readonly unit: string;
  /** What ours is compared with, e.g. `bare grpc-js`. */
  readonly peer?: { readonly name: string; readonly value: number };
  /** ours / peer, from the median of interleaved rounds. */
  readonly ratio?: number;
  /** The goal as text, e.g. `≥ 0.90x`. */
  readonly goal?: string;
  readonly reached?: boolean;
}

export interface BenchReport {
  readonly name: string;
  readonly rows: readonly BenchRow[];
}

function short(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return value >= 10 ? value.toFixed(1) : value.toPrecision(3);
}

/** The report as a table for people. */
export function formatReport({ name, rows }: BenchReport): string {
  const lines = rows.map((row) => {
    const peer = row.peer ? `${row.peer.name} ${short(row.peer.value)}` : '';
    const ratio = row.ratio === undefined ? '' : `${row.ratio.toFixed(3)}x`;
    const verdict = row.reached === undefined ? '' : row.reached ? 'reached' : 'MISSED';
    return [row.measure, `${short(row.ours)} ${row.unit}`, peer, ratio, row.goal ?? '', verdict];
  });
  const head = ['measure', 'ours', 'peer', 'ratio', 'goal', ''];
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column]?.length ?? 0)));
  const format = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  return [`bench ${name}`, format(head), format(widths.map((width) => '-'.repeat(width))), ...lines.map(format)].join(
    '\n',
  );
}

/** Writes the report with the machine it ran on to `<folder>/<name>.json`. */
export function writeReport(report: BenchReport, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${report.name}.json`);
  const machine = {
    cpu: cpus()[0]?.model ?? '',
    cores: cpus().length,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  };
  writeFileSync(path, `${JSON.stringify({ machine, ...report }, null, 2)}\n`);
  return path;
}
