/** Runs a command with its arguments and environment; gives the exit code. */
export type RunCommand = (args: readonly string[], env: NodeJS.ProcessEnv) => Promise<number>;

/** One command of the command line. */
export interface Command {
  readonly name: string;
  /** Its line in the help, without `showrunner`. */
  readonly usage: string;
  /** What it does, in a few words. */
  readonly doc: string;
  /** What `--help` shows of a command that has subcommands or options; `args` are those given beside it. */
  loadHelp?(args: readonly string[]): Promise<string>;
  /** Loaded only when called, so that each command starts with what it needs. */
  load(): Promise<RunCommand>;
}

/** Every command of the command line. */
export const commands: readonly Command[] = [
  {
    name: 'serve',
    usage: 'serve',
    doc: 'start the server and its workers',
    load: async () => (await import('./serve.ts')).serve,
  },
  {
    name: 'worker',
    usage: 'worker',
    doc: 'start one more worker process for a running server',
    load: async () => (await import('./worker.ts')).worker,
  },
  {
    name: 'demo',
    usage: 'demo [--exit]',
    doc: 'take one title and one member through every service',
    load: async () => (await import('./demo/demo.ts')).demo,
  },
  {
    name: 'transcode',
    usage: 'transcode FILE [--title NAME] [--params JSON]',
    doc: 'upload a video, make a title of it and print where it plays',
    load: async () => (await import('./transcode/transcode.ts')).transcode,
    loadHelp: async () => (await import('./transcode/transcode.ts')).transcodeHelp,
  },
  {
    name: 'call',
    usage: 'call SERVICE/METHOD [JSON] [--header K=V]...',
    doc: 'call a method with a JSON request',
    load: async () => (await import('./call.ts')).call,
    loadHelp: async () => (await import('./call.ts')).callHelp,
  },
  {
    name: 'filters',
    usage: 'filters list|get|stage|promote|…',
    doc: 'see and change the filters of a running server; make and test new ones',
    load: async () => (await import('./filters/filters.ts')).filters,
    loadHelp: async () => (await import('./filters/filters.ts')).filtersHelp(),
  },
  {
    name: 'jobs',
    usage: 'jobs create|list|watch|insight|…',
    doc: 'make, watch and end jobs; templates, schedules and workflows',
    load: async () => (await import('./jobs/jobs.ts')).jobs,
    loadHelp: async () => (await import('./jobs/jobs.ts')).jobsHelp(),
  },
  {
    name: 'notebooks',
    usage: 'notebooks run|test|inspect|page|recover',
    doc: 'run notebooks with parameters, test them, make pages of them',
    load: async () => (await import('./notebooks/notebooks.ts')).notebooks,
    loadHelp: async (args) => (await import('./notebooks/notebooks.ts')).notebooksHelp(args),
  },
  {
    name: 'bench',
    usage: 'bench [NAME...]',
    doc: 'run the benchmarks and print their ratios',
    load: async () => (await import('../../bench/run-benches.ts')).runBenches,
    loadHelp: async () => (await import('../../bench/run-benches.ts')).benchHelp(),
  },
];
