/** Where progress is shown; a bar that redraws itself on a terminal, a line per stage elsewhere. */
export interface ProgressOutput {
  readonly isTTY?: boolean | undefined;
  /** Width of a terminal; it may change. Default 80. */
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** Shows how far one piece of work is. */
export interface ProgressBar {
  /** `fraction` 0 to 1. */
  update(fraction: number, stage: string, note: string): void;
  /** Ends the line; keeps the last state on the screen. */
  end(): void;
}

const barWidth = 28;

/** Nothing is shown before the first update. */
export function createProgressBar(output: ProgressOutput, title: string): ProgressBar {
  let lastStage = '';
  let lastWidth = 0;
  const draw = (fraction: number, stage: string, note: string) => {
    const filled = Math.round(Math.min(1, Math.max(0, fraction)) * barWidth);
    const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled);
    const whole = `  ${title} ${bar} ${String(Math.floor(fraction * 100)).padStart(3)} %  ${stage} ${note}`.trimEnd();
    // A line that wraps cannot be drawn over: each update would leave one behind.
    const most = Math.max(1, (output.columns ?? 80) - 1);
    const line = whole.slice(0, most);
    output.write(`\r${line}${' '.repeat(Math.max(0, Math.min(lastWidth, most) - line.length))}`);
    lastWidth = line.length;
  };
  return {
    update: (fraction, stage, note) => {
      if (output.isTTY) draw(fraction, stage, note);
      else if (stage !== lastStage) output.write(`  ${title}: ${`${stage} ${note}`.trim()}\n`);
      lastStage = stage;
    },
    end: () => {
      if (output.isTTY) output.write('\n');
    },
  };
}
