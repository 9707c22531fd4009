import { parseArgs } from 'node:util';

const options = {
  parameters_file: { type: 'string', short: 'f', multiple: true },
  parameters_yaml: { type: 'string', short: 'y', multiple: true },
  parameters_base64: { type: 'string', short: 'b', multiple: true },
  'inject-input-path': { type: 'boolean' },
  'inject-output-path': { type: 'boolean' },
  'inject-paths': { type: 'boolean' },
  kernel: { type: 'string', short: 'k' },
  language: { type: 'string', short: 'l' },
  cwd: { type: 'string' },
  'log-output': { type: 'boolean' },
  'log-level': { type: 'string' },
  'progress-bar': { type: 'boolean' },
  'start-timeout': { type: 'string' },
  'execution-timeout': { type: 'string' },
  'report-mode': { type: 'boolean' },
  'prepare-only': { type: 'boolean' },
  'prepare-execute': { type: 'boolean' },
  'stdout-file': { type: 'string' },
  'stderr-file': { type: 'string' },
  'autosave-cell-every': { type: 'string' },
  'request-save-on-cell-execute': { type: 'boolean' },
  'help-notebook': { type: 'boolean' },
  'run-timeout': { type: 'string' },
  'idle-timeout': { type: 'string' },
  'only-tag': { type: 'string', multiple: true },
  'skip-tag': { type: 'string', multiple: true },
  from: { type: 'string' },
  until: { type: 'string' },
  resume: { type: 'string' },
  secret: { type: 'string', multiple: true },
  'kernels-dir': { type: 'string', multiple: true },
  html: { type: 'string' },
} as const;

/** `-p` and `-r` take a name and a value, which no option parser of Node can. */
const pairOptions: Readonly<Record<string, 'inferred' | 'raw'>> = {
  '-p': 'inferred',
  '--parameters': 'inferred',
  '-r': 'raw',
  '--parameters_raw': 'raw',
};

/** Papermill writes some names with an underscore. */
const aliases: Readonly<Record<string, string>> = {
  '--start_timeout': '--start-timeout',
  '--parameters-file': '--parameters_file',
  '--parameters-yaml': '--parameters_yaml',
  '--parameters-base64': '--parameters_base64',
};

const yamlOptions = new Set(['-y', '--parameters_yaml', '--parameters-yaml']);

/** A parameter from the command line. */
export interface GivenParameter {
  readonly name: string;
  readonly text: string;
  readonly kind: 'inferred' | 'raw';
}

/** The command line of `notebooks run`. */
export function readRunArguments(args: readonly string[]) {
  const { pairs, rest } = takePairs(args);
  const { values, positionals } = parseArgs({ args: rest, options, allowPositionals: true, allowNegative: true });
  const [input, output, ...more] = positionals;
  if (more.length > 0) throw usage(`unexpected "${more[0]}"`);
  return { values, input, output, pairs };
}

/** The command line of `notebooks run`, as it was read. */
export type RunArguments = ReturnType<typeof readRunArguments>;

function takePairs(args: readonly string[]): { pairs: GivenParameter[]; rest: string[] } {
  const pairs: GivenParameter[] = [];
  const rest: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    const kind = Object.hasOwn(pairOptions, arg) ? pairOptions[arg] : undefined;
    if (arg === '--') {
      rest.push(...args.slice(i));
      break;
    }
    if (yamlOptions.has(arg) && i + 1 < args.length) {
      // A document may begin with a dash, which Node would take for an option.
      rest.push(`--parameters_yaml=${args[++i]}`);
      continue;
    }
    if (kind === undefined) {
      rest.push((Object.hasOwn(aliases, arg) ? aliases[arg] : undefined) ?? arg);
      continue;
    }
    const [name, text] = [args[i + 1], args[i + 2]];
    if (name === undefined || text === undefined) throw usage(`${arg} takes a name and a value`);
    pairs.push({ name, text, kind });
    i += 2;
  }
  return { pairs, rest };
}

/** A fault of the command line: exit code 2, as of `parseArgs`. */
export function usage(text: string): TypeError {
  return Object.assign(new TypeError(text), { code: 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE' });
}

/** Seconds over 0, as ms; undefined when not given. */
export function readSeconds(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 86_400)) throw usage(`--${name} must be seconds, over 0 and at most 86400`);
  return seconds * 1000;
}

/** Help of `notebooks run`. */
export const runHelp = `usage: showrunner notebooks run IN [OUT] [options]

IN and OUT are paths, or "-" for stdin and stdout; {name} in them stands for a parameter, {pm[run_uuid]},
{pm[current_datetime_utc]:%Y%m%d} and {pm[current_datetime_local]} for those. Without OUT nothing is written.

parameters, later ones win: files, YAML and base64 in the order -b -f -y, then -p and -r
  -p, --parameters NAME VALUE      True, False, None and numbers are taken as such; 007 and 1_000 stay text
  -r, --parameters_raw NAME VALUE  text, whatever it looks like
  -f, --parameters_file FILE       YAML or JSON        -y, --parameters_yaml TEXT   YAML
  -b, --parameters_base64 TEXT     YAML in base64      --inject-paths, --inject-input-path, --inject-output-path
  --secret NAME                    lets {$secret: NAME} take the environment variable NAME
kernel
  -k, --kernel NAME   -l, --language NAME   --cwd DIR   --kernels-dir DIR
what runs
  --only-tag TAG  --skip-tag TAG  --from CELL  --until CELL  --resume EARLIER_OUT  --prepare-only
limits, in seconds
  --execution-timeout (each cell)  --run-timeout  --idle-timeout (no output)  --start-timeout (default 60)
output
  --log-output  --stdout-file FILE  --stderr-file FILE  --[no-]progress-bar  --report-mode  --html FILE
  --autosave-cell-every SECONDS  --log-level LEVEL
  --help-notebook     shows the parameters of IN

exit codes: 0 done, 1 the notebook failed or cannot be run, 2 wrong options, 124 out of time, 130 cancelled, 138 kernel dead
`;
