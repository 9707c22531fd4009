import { JobService } from '../../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { connectionHelp, withConnection } from '../connection.ts';
import { jobCommands } from './job-commands.ts';
import { scheduleCommands } from './schedule-commands.ts';
import { templateCommands } from './template-commands.ts';
import { parseJobArgs, type Subcommand } from './turn.ts';
import { workflowCommands } from './workflow-commands.ts';

const groups: Readonly<Record<string, Readonly<Record<string, Subcommand>>>> = {
  template: templateCommands,
  schedule: scheduleCommands,
  workflow: workflowCommands,
};

function usageText(): string {
  const all = [
    ...Object.values(jobCommands).map((command) => ({ ...command, before: '' })),
    ...Object.entries(groups).flatMap(([group, commands]) =>
      Object.values(commands).map((command) => ({ ...command, before: `${group} ` })),
    ),
  ];
  return all.map(({ before, usage, doc }) => `  showrunner jobs ${before}${usage}\n      ${doc}`).join('\n');
}

/** Help of `jobs`. */
export function jobsHelp(): string {
  return `usage:\n${usageText()}\n\n${connectionHelp}`;
}

/** `showrunner jobs SUBCOMMAND`: jobs, templates, schedules and workflows of a running server. */
export async function jobs(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { values, positionals } = parseJobArgs(args);
  const [first = '', ...others] = positionals;
  const group = Object.hasOwn(groups, first) ? groups[first] : undefined;
  const [name = '', ...rest] = group === undefined ? positionals : others;
  const commands = group ?? jobCommands;
  const found = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (found === undefined) {
    process.stderr.write(`usage:\n${usageText()}\n`);
    return 2;
  }
  return withConnection(JobService, values, env, (client, call) => found.run({ client, call, args: rest, values }));
}
