import { once } from 'node:events';
import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs';
import { dirname } from 'node:path';
import type { RunEvent } from '../../../notebooks-runner/run/run-record.ts';
import { createProgressBar, type ProgressOutput } from '../terminal/progress-bar.ts';

interface RunOutputOptions {
  readonly title: string;
  readonly isLogging: boolean;
  readonly hasBar: boolean;
  readonly stdoutFile: string | undefined;
  readonly stderrFile: string | undefined;
  readonly terminal: ProgressOutput;
}

/** Shows a run while it goes on: a bar or the notebook's own output, and copies of its streams in files. */
export interface RunOutput {
  receive(event: RunEvent): void;
  close(): Promise<void>;
}

/** Opens the files for copies, with the folders they are in. */
export function createRunOutput(options: RunOutputOptions): RunOutput {
  const { title, isLogging, hasBar, terminal } = options;
  const bar = hasBar ? createProgressBar(terminal, title) : undefined;
  const files = new Map<string, WriteStream>();
  for (const [stream, path] of [
    ['stdout', options.stdoutFile],
    ['stderr', options.stderrFile],
  ] as const) {
    if (path === undefined) continue;
    mkdirSync(dirname(path), { recursive: true });
    files.set(stream, createWriteStream(path));
  }
  let cells = 1;
  let ended = 0;
  return {
    receive: (event) => {
      if (event.type === 'run:started') cells = Math.max(1, event.codeCells);
      else if (event.type === 'cell:started') {
        if (isLogging) terminal.write(`Executing Cell ${event.index + 1}${'-'.repeat(40)}\n`);
        bar?.update(ended / cells, 'cells', `cell ${event.index + 1}`);
      } else if (event.type === 'cell:output') {
        if (event.kind === 'stream') files.get(event.stream)?.write(event.text);
        if (isLogging && event.text !== '') terminal.write(event.kind === 'stream' ? event.text : `${event.text}\n`);
      } else if (event.type === 'cell:finished') {
        ended++;
        if (isLogging) terminal.write(`Ending Cell ${event.index + 1}${'-'.repeat(43)}\n`);
        bar?.update(ended / cells, 'cells', `${ended} of ${cells}`);
      } else if (event.type === 'run:finished') bar?.update(1, 'cells', event.status);
    },
    close: async () => {
      bar?.end();
      for (const file of files.values()) {
        file.end();
        await once(file, 'close');
      }
    },
  };
}
