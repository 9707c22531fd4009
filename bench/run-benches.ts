import { join } from 'node:path';
import { type BenchReport, formatReport, writeReport } from './report.ts';

const benches: Readonly<Record<string, () => Promise<BenchReport>>> = {
  rpc: async () => (await import('./rpc/rpc-bench.ts')).runRpcBench(),
  proxy: async () => (await import('./proxy.ts')).runProxyBench(),
  filters: async () => (await import('./filters.ts')).runFilterBench(),
  limiters: async () => (await import('./limiters.ts')).runLimiterBench(),
  records: async () => (await import('./records.ts')).runRecordsBench(),
  jobs: async () => (await import('./jobs.ts')).runJobsBench(),
  'jobs-chaos': async () => (await import('./jobs-chaos.ts')).runJobsChaosBench(),
  transcode: async () => (await import('./transcode.ts')).runTranscodeBench(),
  'ladder-flat': async () => (await import('./transcode.ts')).runLadderBench('flat'),
  'ladder-cartoon': async () => (await import('./transcode.ts')).runLadderBench('cartoon'),
  'ladder-detail': async () => (await import('./transcode.ts')).runLadderBench('detail'),
  'ladder-grain': async () => (await import('./transcode.ts')).runLadderBench('grain'),
  ranking: async () => (await import('./ranking.ts')).runRankingBench(),
  notebooks: async () => (await import('./notebooks.ts')).runNotebooksBench(),
  'notebooks-python': async () => (await import('./notebooks.ts')).runPythonNotebooksBench(),
};

/** Help of `bench`. */
export function benchHelp(): string {
  return `usage:
  showrunner bench [NAME...]
      run benchmarks, all without a name; print their ratios and write bench/results/NAME.json

${Object.keys(benches).join(', ')}
`;
}

/**
 * Runs the named benchmarks, or all: prints their tables and writes bench/results/<name>.json.
 * Gives the exit code: 2 for an unknown name. A missed goal is shown, not an error: it is a figure, not a test.
 */
export async function runBenches(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !(name in benches));
  if (unknown.length > 0) {
    process.stderr.write(`no bench "${unknown.join('", "')}"; there are ${Object.keys(benches).join(', ')}\n`);
    return 2;
  }
  for (const [name, run] of Object.entries(benches)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const report = await run();
    process.stdout.write(`${formatReport(report)}\n\n`);
    writeReport(report, join(import.meta.dirname, 'results'));
  }
  return 0;
}
