import { runChaos } from './jobs-chaos/run-chaos.ts';
import type { BenchReport, BenchRow } from './report.ts';

/** Kills of workers, kernels, the server and Redis at seeded moments: every fault must be absent. */
export async function runJobsChaosBench(rounds = 100, seed = 1): Promise<BenchReport> {
  const result = await runChaos({ rounds, seed });
  const { worker, server, redis, runner, kernel } = result.kills;
  const killed = `${worker} workers, ${runner} amid a notebook, ${kernel} kernels, ${server} servers, ${redis} Redis`;
  const none = (measure: string, found: readonly string[]): BenchRow => ({
    measure: found.length === 0 ? measure : `${measure}: ${found.slice(0, 5).join(', ')}`,
    ours: found.length,
    unit: '',
    goal: '0',
    reached: found.length === 0,
  });
  return {
    name: 'jobs-chaos',
    rows: [
      { measure: `rounds (killed: ${killed})`, ours: rounds, unit: 'kills' },
      { measure: 'jobs and workflow runs acknowledged', ours: result.jobs, unit: 'jobs' },
      { measure: 'attempts beyond the first', ours: result.retries, unit: 'attempts' },
      none('jobs lost', result.lost),
      none('jobs left waiting or running', result.unfinished),
      none('jobs that ended twice', result.endedTwice),
      none('jobs published twice', result.publishedTwice),
      none('wrong ends, unpublished ones, nodes too many or too few', result.wrong),
      none('orphan processes', result.orphans),
      { measure: 'time', ours: result.tookMs / 1000, unit: 's' },
    ],
  };
}
