/** One report of `ffmpeg -progress`. */
export interface FfmpegProgress {
  readonly frames: number;
  readonly fps: number;
  /** Time of the last written packet, in ms. */
  readonly outTimeMs: number;
  readonly bytes: number;
  /** True for the report at the end. */
  readonly done: boolean;
}

/** Turns `key=value` lines into reports. `push` gives true when frames, time or bytes grew. */
export function createProgressParser(onProgress: (progress: FfmpegProgress) => void): {
  push(chunk: Buffer): boolean;
} {
  const values = new Map<string, string>();
  let rest = '';
  let last = '';
  const numberOf = (key: string) => {
    const value = Number(values.get(key));
    return Number.isFinite(value) ? value : 0;
  };
  const report = (state: string): boolean => {
    const progress: FfmpegProgress = {
      frames: numberOf('frame'),
      fps: numberOf('fps'),
      outTimeMs: numberOf('out_time_us') / 1000,
      bytes: numberOf('total_size'),
      done: state === 'end',
    };
    onProgress(progress);
    const now = `${progress.frames} ${progress.outTimeMs} ${progress.bytes}`;
    const grew = now !== last;
    last = now;
    return grew;
  };
  return {
    push: (chunk) => {
      const lines = (rest + chunk.toString('latin1')).split('\n');
      rest = (lines.pop() ?? '').slice(-4096);
      let grew = false;
      for (const line of lines) {
        const cut = line.indexOf('=');
        if (cut < 0) continue;
        const key = line.slice(0, cut).trim();
        const value = line.slice(cut + 1).trim();
        if (key === 'progress') grew = report(value) || grew;
        else if (values.size < 64 || values.has(key)) values.set(key, value);
      }
      return grew;
    },
  };
}
