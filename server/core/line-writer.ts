/** Where lines go: the part of a stream that is used. */
export interface LineOutput {
  write(text: string): unknown;
  /** What was written and is not yet away. */
  readonly writableLength: number;
}

/** Takes whole lines. */
export interface LineWriter {
  /** `isUrgent`: now, with all lines before it, instead of at the end of this turn of the event loop. */
  write(line: string, isUrgent: boolean): void;
  /** Writes what is held. */
  flush(): void;
  /** Lines that were left out because the output did not take them. */
  readonly dropped: number;
}

/** Where lines go and how many may wait. */
export interface LineWriterOptions {
  readonly output: LineOutput;
  /** More characters than these are not held for an output that is slow: lines are dropped, and counted. Default 8 Mi. */
  readonly maxHeld?: number;
  /** Runs the flush of this turn; default `setImmediate`. */
  readonly later?: (flush: () => void) => void;
}

/** A batch that is this long is written at once. */
const batchLength = 65_536;

/** Gathers the lines of one turn of the event loop into one write: a system call for many calls instead of one each. */
export function createLineWriter({ output, maxHeld = 8_388_608, later = setImmediate }: LineWriterOptions): LineWriter {
  let batch = '';
  let isPlanned = false;
  let dropped = 0;
  let untold = 0;

  const flush = () => {
    isPlanned = false;
    if (batch === '') return;
    const text = batch;
    batch = '';
    output.write(text);
  };
  const tellDropped = () => {
    batch += `{"time":"${new Date().toISOString()}","level":"warn","message":"log lines dropped","lines":${untold}}\n`;
    untold = 0;
  };

  return {
    write: (line, isUrgent) => {
      if (!isUrgent && output.writableLength > maxHeld) {
        dropped++;
        untold++;
        return;
      }
      if (untold > 0) tellDropped();
      batch += line;
      if (isUrgent || batch.length >= batchLength) flush();
      else if (!isPlanned) {
        isPlanned = true;
        later(flush);
      }
    },
    flush,
    get dropped() {
      return dropped;
    },
  };
}
