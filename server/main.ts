import { commands } from './cli/commands.ts';
import { AppError, messageOf } from './core/errors.ts';

/** Exit codes of the command line: 0 done, 1 failed, 2 used wrongly. */
const usageCode = 2;

async function main(): Promise<number> {
  const [name = 'help', ...args] = process.argv.slice(2);
  const command = commands.find((entry) => entry.name === name);
  if (!command) {
    const lines = commands.map((entry) => `  showrunner ${entry.usage.padEnd(38)} ${entry.doc}`);
    process.stderr.write(`usage:\n${lines.join('\n')}\n`);
    return name === 'help' || name === '--help' ? 0 : usageCode;
  }
  const run = await command.load();
  return await run(args, process.env);
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
  const text =
    error instanceof AppError || isUsage ? messageOf(error) : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`showrunner: ${text}\n`);
  process.exitCode = isUsage ? usageCode : 1;
}
