import type { Jobs } from '../../server/jobs/jobs.ts';
import type { WorkflowSpec } from '../../server/jobs/workflows/workflow.ts';
import type { BenchRow } from '../report.ts';

const few = 2_500;
const many = 25_000;
const goalMib = 150;
const deadlineMs = 600_000;

interface Fanned {
  readonly seconds: number;
  /** Most memory of the server process above what it had before. */
  readonly growthMib: number;
}

/** A fan-out over 25,000 items beside one over 2,500: memory must not follow the number. */
export async function measureForEach(jobs: Jobs): Promise<BenchRow[]> {
  const small = await fan(jobs, few);
  const large = await fan(jobs, many);
  return [
    { measure: `foreach over ${many} items`, ours: many / large.seconds, unit: 'items/s' },
    {
      measure: `memory that ${many} items add to the server, most`,
      ours: large.growthMib,
      unit: 'MiB',
      peer: { name: `${few} items`, value: small.growthMib },
      goal: `≤ ${goalMib} MiB`,
      reached: large.growthMib <= goalMib,
    },
  ];
}

async function fan(jobs: Jobs, count: number): Promise<Fanned> {
  const axis = (length: number) => Array.from({ length }, (_, i) => i);
  const grid = { a: axis(count / 50), b: axis(50) };
  const spec: WorkflowSpec = {
    id: `fan-${count}`,
    description: '',
    labels: {},
    nodes: [
      {
        id: 'each',
        work: { type: 'job', kind: 'noop', params: {}, priority: 0 },
        after: [],
        join: 'all',
        foreach: { grid, maxParallel: 64, maxFailed: 0 },
      },
    ],
  };
  await jobs.workflows.create(spec);
  let most = 0;
  const before = process.memoryUsage.rss();
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss() - before);
  }, 100);
  const startedAt = performance.now();
  const { job } = await jobs.create({ kind: 'workflow', params: { workflow: spec.id }, labels: {}, priority: 0 });
  for await (const _event of jobs.watch(job.id, 0, AbortSignal.timeout(deadlineMs)));
  clearInterval(timer);
  const { state, error } = await jobs.get(job.id);
  const { row } = await jobs.runs.get(job.id);
  if (state !== 'succeeded' || row.nodes['each']?.items?.succeeded !== count)
    throw new Error(`foreach ended ${state}: ${error?.message}`);
  return { seconds: (performance.now() - startedAt) / 1000, growthMib: most / 2 ** 20 };
}
