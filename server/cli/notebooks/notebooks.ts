import type { RunCommand } from '../commands.ts';

interface Subcommand {
  readonly usage: string;
  readonly doc: string;
  load(): Promise<RunCommand>;
}

const subcommands: Readonly<Record<string, Subcommand>> = {
  run: {
    usage: 'run IN [OUT] [-p NAME VALUE]… [-f FILE]…',
    doc: 'run a notebook with parameters; the options are those of papermill: "run --help"',
    load: async () => (await import('./run.ts')).runCommand,
  },
  test: {
    usage:
      'test DIR… [--exclude GLOB]… [--jobs N] [--kernel NAME] [--execution-timeout S] [--output-dir DIR] [--junit FILE] [--update]',
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

function usageText(): string {
  const lines = Object.values(subcommands).map(({ usage, doc }) => `  showrunner notebooks ${usage}\n      ${doc}\n`);
  return `usage:\n${lines.join('')}`;
}

/** Help of `notebooks`; of `notebooks run` with all its options. */
export async function notebooksHelp(args: readonly string[]): Promise<string> {
  return args[0] === 'run' ? (await import('./run-options.ts')).runHelp : usageText();
}

/** `showrunner notebooks run|test|inspect|page|recover`: runs and tests notebooks without a server. */
export async function notebooks(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [name = '', ...rest] = args;
  const found = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (found !== undefined) return (await found.load())(rest, env);
  process.stderr.write(usageText());
  return name === '' || name === 'help' ? 0 : 2;
}
