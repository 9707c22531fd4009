import type { Sample } from '../mp4/read-fragments.ts';

/**
 * The most that a buffer drained at `maxrateKbps` holds, in kilobits, when the samples pour into it as they come:
 * no more than `bufsizeKbps` exactly when every stretch of T seconds takes at most maxrate x T + bufsize.
 */
export function bucketPeakKilobits(samples: readonly Sample[], timescale: number, maxrateKbps: number): number {
  let held = 0;
  let peak = 0;
  for (const sample of samples) {
    held += (sample.data.length * 8) / 1000;
    peak = Math.max(peak, held);
    held = Math.max(0, held - (maxrateKbps * sample.durationTicks) / timescale);
  }
  return peak;
}
