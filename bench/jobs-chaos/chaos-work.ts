import type { MessageInitShape } from '@bufbuild/protobuf';
import { fromJson } from '@bufbuild/protobuf';
import { ValueSchema } from '@bufbuild/protobuf/wkt';
import type { JobService } from '../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import type { WorkflowSchema } from '../../proto/gen/showrunner/jobs/v1/workflow_pb.ts';
import type { Random } from '../../server/core/random.ts';
import type { RpcClient } from '../../server/rpc/client.ts';

export type ChaosClient = RpcClient<typeof JobService>;

/** Three nodes, the middle one once per item: 6 jobs. */
export function chaosWorkflow(marker: string): MessageInitShape<typeof WorkflowSchema> {
  const reference = (path: string) => `\${${path}}`;
  return {
    name: 'workflows/chaos',
    nodes: [
      { id: 'first', work: { case: 'job', value: { kind: 'program', params: { n: 1, ms: 30, marker } } } },
      {
        id: 'each',
        work: { case: 'job', value: { kind: 'steps', params: { n: reference('item'), ms: 20 } } },
        foreach: { items: fromJson(ValueSchema, [1, 2, 3, 4]), maxParallel: 2 },
        after: [{ node: 'first', when: 'first.result.n == 1' }],
      },
      {
        id: 'last',
        work: { case: 'job', value: { kind: 'flaky', params: { n: reference('each.counts.succeeded') } } },
        after: [{ node: 'each' }],
      },
    ],
    outputs: { n: reference('last.result.n') },
  };
}

/** Key of the notebook that each round runs once. */
export const chaosNotebookKey = 'sources/chaos.ipynb';

/** Waits and then hands out twice the number that it was given. */
export function chaosNotebook(): object {
  const cell = (id: string, source: string, tags: readonly string[] = []) => ({
    cell_type: 'code',
    id,
    metadata: { tags },
    source,
    outputs: [],
    execution_count: null,
  });
  const scrap = '{ name: "twice", data: n * 2, encoder: "json", version: 1 }';
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: { kernelspec: { name: 'deno', display_name: 'Deno', language: 'typescript' } },
    cells: [
      cell('given', 'let n = 0;\nlet ms = 0;', ['parameters']),
      cell('wait', 'await new Promise((resolve) => setTimeout(resolve, ms));\nconsole.log("waited", ms);'),
      cell('give', `await Deno.jupyter.display({ "application/scrapbook.scrap.json+json": ${scrap} }, { raw: true });`),
    ],
  };
}

export interface RoundOptions {
  readonly round: number;
  readonly random: Random;
  readonly marker: string;
  /** Calls until it is answered. */
  readonly call: <T>(work: (client: ChaosClient) => Promise<T>) => Promise<T>;
}

/** Asks for the jobs of a round under request ids; gives the names that were acknowledged, by request id. */
export async function submitRound({ round, random, marker, call }: RoundOptions): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  const kinds = ['steps', 'program', 'fan', 'flaky', 'steps', 'program'];
  const asked = kinds.map(async (kind, i) => {
    const requestId = `r${round}-${i}`;
    const params = { n: round * 10 + i, ms: Math.floor(random.next() * 120), marker };
    const { job } = await call((client) => client.createJob({ job: { kind, params }, requestId }));
    names.set(requestId, job?.name ?? '');
  });
  const parameters = { n: round, ms: Math.floor(random.next() * 120) };
  const requestId = `r${round}-flow`;
  asked.push(
    call((client) =>
      client.createJob({
        job: { kind: 'notebook', params: { notebook: chaosNotebookKey, parameters } },
        requestId: `r${round}-notebook`,
      }),
    ).then(({ job }) => {
      names.set(`r${round}-notebook`, job?.name ?? '');
    }),
    call((client) => client.runWorkflow({ name: 'workflows/chaos', requestId })).then(({ job }) => {
      names.set(requestId, job?.name ?? '');
    }),
  );
  await Promise.all(asked);
  return names;
}
