import { type Command, commands } from './cli/commands.ts';
import { AppError, messageOf } from './core/errors.ts';
import { flushTelemetry } from './core/telemetry/flush.ts';

/** Exit codes of the command line: 0 done, 1 failed, 2 used wrongly. */
const usageCode = 2;

const helpFlags = ['--help', '-h'];
const helpWords = ['help', ...helpFlags];

async function main(): Promise<number> {
  const [name = 'help', ...args] = process.argv.slice(2);
  const command = commands.find((entry) => entry.name === name);
  if (command && args.some((arg) => helpFlags.includes(arg))) {
    process.stdout.write((await command.loadHelp?.(args)) ?? usageOf([command]));
    return 0;
  }
  if (command) {
    const run = await command.load();
    return await run(args, process.env);
  }
  if (helpWords.includes(name)) {
    process.stdout.write(usageOf(commands));
    return 0;
  }
  process.stderr.write(`showrunner: there is no command "${name}"\n${usageOf(commands)}`);
  return usageCode;
}

function usageOf(listed: readonly Command[]): string {
  const lines = listed.map(({ usage, doc }) => `  showrunner ${usage.padEnd(38)} ${doc}\n`);
  return `usage:\n${lines.join('')}`;
}

/** The reason first: the manual lists what to do by it. What nobody foresaw comes with its stack. */
function textOf(error: unknown): string {
  if (error instanceof AppError) return `${error.reason}: ${error.message}`;
  return (error instanceof Error ? error.stack : undefined) ?? messageOf(error);
}

// Whoever reads the output may leave early, as `head` does: no fault, and nothing more to do.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
  process.stderr.write(`showrunner: ${isUsage ? messageOf(error) : textOf(error)}\n`);
  process.exitCode = isUsage ? usageCode : 1;
}
if (!(await flushTelemetry())) process.exit();
