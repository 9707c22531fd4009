import { runNotebook } from '../../../notebooks-runner/run/run-notebook.ts';
import { systemClock } from '../../../server/core/clock.ts';
import { silentLogger } from '../../../server/core/log.ts';

const [inputPath = '', outputPath = '', runtimeDir = ''] = process.argv.slice(2);
const record = await runNotebook({
  inputPath,
  outputPath,
  runtimeDir,
  saveIntervalMs: 1,
  clock: systemClock,
  log: silentLogger,
  onEvent: (event) => process.stdout.write(`${event.type}\n`),
});
process.stdout.write(`${record.status}\n`);
