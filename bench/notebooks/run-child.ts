import { runNotebook } from '../../notebooks-runner/run/run-notebook.ts';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';

/** Runs a notebook and tells its progress, with the kernel's pid. */
const [inputPath = '', outputPath = '', runtimeDir = ''] = process.argv.slice(2);
await runNotebook({
  inputPath,
  outputPath,
  runtimeDir,
  clock: systemClock,
  log: silentLogger,
  onEvent: (event) => {
    if (event.type === 'kernel:ready') process.stdout.write(`kernel ${event.pid}\n`);
    else if (event.type === 'cell:started') process.stdout.write('cell:started\n');
    else if (event.type === 'cell:finished') process.stdout.write(`cell:finished ${event.status}\n`);
  },
});
