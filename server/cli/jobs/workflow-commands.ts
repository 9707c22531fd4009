import { writeFileSync } from 'node:fs';
import { toJsonString } from '@bufbuild/protobuf';
import { WorkflowSchema } from '../../../proto/gen/showrunner/jobs/v1/workflow_pb.ts';
import { formatTable } from '../terminal/table.ts';
import { jobCommands, showMade } from './job-commands.ts';
import { blockedText, formatRun } from './job-views.ts';
import { putResource, runRequest, scanPages } from './resources.ts';
import { nameIn, print, readResource, type Subcommand } from './turn.ts';

/** Of workflows and their runs. */
export const workflowCommands: Readonly<Record<string, Subcommand>> = {
  list: {
    usage: 'list',
    doc: 'all workflows by name',
    run: async ({ client, call }) => {
      const all = await scanPages(
        (page) => client.listWorkflows(page, call),
        ({ workflows }) => workflows,
      );
      const rows = all.map(({ name, nodes, revision, description, blockedBy }) => [
        ...[name, String(nodes.length), String(revision), blockedText(blockedBy) || description.slice(0, 60)],
      ]);
      print(formatTable([['workflow', 'nodes', 'revision', ''], ...rows], [1, 2]));
    },
  },
  get: {
    usage: 'get WORKFLOW',
    doc: 'a workflow as JSON',
    run: async ({ client, call, args }) => {
      const { workflow } = await client.getWorkflow({ name: nameIn('workflows', args[0]) }, call);
      if (workflow) print(toJsonString(WorkflowSchema, workflow, { prettySpaces: 2 }));
    },
  },
  put: {
    usage: 'put WORKFLOW JSON|@FILE',
    doc: 'create a workflow or replace it',
    run: async ({ client, call, args }) => {
      const given = readResource(WorkflowSchema, nameIn('workflows', args[0]), args[1]);
      const { workflow } = await putResource(
        () => client.updateWorkflow({ workflow: given }, call),
        () => client.createWorkflow({ workflow: given }, call),
      );
      if (workflow) print(`${workflow.name} revision ${workflow.revision}`);
    },
  },
  run: {
    usage: 'run WORKFLOW [JSON|@FILE] [--label K=V]… [--request-id ID] [--watch]',
    doc: 'start a run with parameters; prints its job',
    run: async (turn) => {
      const { job, existed } = await turn.client.runWorkflow(runRequest('workflows', turn), turn.call);
      await showMade(turn, job, existed);
    },
  },
  nodes: {
    usage: 'nodes JOB',
    doc: 'the nodes of a run',
    run: async ({ client, call, args }) => {
      const { run } = await client.getWorkflowRun({ name: nameIn('jobs', args[0]) }, call);
      if (run) print(formatRun(run));
    },
  },
  restart: {
    usage: 'restart JOB [--request-id ID] [--watch]',
    doc: 'a new run that keeps the nodes and items that succeeded',
    run: async (turn) => await jobCommands['restart']?.run(turn),
  },
  unblock: {
    usage: 'unblock WORKFLOW',
    doc: 'let a strictly sequential workflow go on after a failed run',
    run: async ({ client, call, args }) =>
      void (await client.unblockWorkflow({ name: nameIn('workflows', args[0]) }, call)),
  },
  graph: {
    usage: 'graph WORKFLOW|jobs/JOB [OUT.svg]',
    doc: 'a picture, of a run with the states of its nodes; OUT - is standard output',
    run: async ({ client, call, args }) => {
      const [what, out] = args;
      const name = nameIn(what?.startsWith('jobs/') ? 'jobs' : 'workflows', what);
      const { svg } = await client.getWorkflowGraph({ name }, call);
      if (out === '-') return print(svg);
      const path = out ?? `${name.split('/')[1]}.svg`;
      writeFileSync(path, svg);
      print(path);
    },
  },
  delete: {
    usage: 'delete WORKFLOW',
    doc: 'delete a workflow; its runs go on',
    run: async ({ client, call, args }) =>
      void (await client.deleteWorkflow({ name: nameIn('workflows', args[0]) }, call)),
  },
};
