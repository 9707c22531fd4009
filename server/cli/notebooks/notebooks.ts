import type { RunCommand } from '../commands.ts';

interface Subcommand {
  readonly usage: string;
  readonly doc: string;
  load(): Promise<RunCommand>;
}

const subcommands: Readonly<Record<string, Subcommand>> = {
  run: {
    usage: 'run IN [OUT] [-p NAME VALUE]… [-f FILE]…',
    doc: 'run a notebook with parameters; the options are those of papermill, see "run --help"',
    load: async () => (await import('./run.ts')).runCommand,
  },
  test: {
    usage: 'test DIR… [--junit FILE] [--update]',
    doc: 'run the notebooks of folders as tests: cells tagged "test" and "golden"',
    load: async () => (await import('./test.ts')).testCommand,
  },
  inspect: {
    usage: 'inspect IN [--json]',
    doc: 'show the parameters that a notebook takes',
    load: async () => (await import('./inspect.ts')).inspectCommand,
  },
  page: {
    usage: 'page IN [OUT.html]',
    doc: 'write a notebook as a sanitised HTML page',
    load: async () => (await import('./page.ts')).pageCommand,
  },
  recover: {
    usage: 'recover OUT…',
    doc: 'finish output notebooks whose runner was killed, from their journals',
    load: async () => (await import('./recover.ts')).recoverCommand,
  },
};

/** `showrunner notebooks run|test|inspect|page|recover`: runs and tests notebooks without a server. */
export async function notebooks(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [name = '', ...rest] = args;
  const found = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (found !== undefined) return (await found.load())(rest, env);
  const lines = Object.values(subcommands).map(({ usage, doc }) => `  showrunner notebooks ${usage.padEnd(42)} ${doc}`);
  process.stderr.write(`usage:\n${lines.join('\n')}\n`);
  return ['', 'help', '--help', '-h'].includes(name) ? 0 : 2;
}
