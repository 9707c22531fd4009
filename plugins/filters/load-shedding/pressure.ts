import type { Clock } from '../../engine/filter.ts';

/** One thing that can be full. */
export interface PressureSource {
  readonly name: string;
  read(): number;
  /** The reading at which it begins to count, and the one at which it is full. */
  readonly throttleAt: number;
  readonly saturateAt: number;
}

interface PressureOptions {
  readonly sources: readonly PressureSource[];
  readonly clock: Clock;
  /** Time constants, ms. */
  readonly riseMs: number;
  readonly fallMs: number;
}

/** How hard the process is pressed: 0 = at ease, 1 = full. */
export interface Pressure {
  /** The pressure now; cheap enough for every call. */
  read(nowMs?: number): number;
  /** The source that presses most at the latest reading. */
  readonly by: string;
}

const leastStepMs = 0.25;

function scaled({ read, throttleAt, saturateAt }: PressureSource): number {
  const x = (read() - throttleAt) / (saturateAt - throttleAt);
  return Number.isNaN(x) ? 0 : Math.max(0, Math.min(1, x));
}

/** The highest of the sources, smoothed by time: it follows a rise fast and a fall slowly. Throws on a wrong range. */
export function createPressure({ sources, clock, riseMs, fallMs }: PressureOptions): Pressure {
  for (const { name, throttleAt, saturateAt } of sources) {
    if (throttleAt >= saturateAt) throw new Error(`${name}: expected throttleAt < saturateAt`);
  }
  let value = 0;
  let by = '';
  let atMs = clock.monotonic();
  return {
    read: (now = clock.monotonic()) => {
      // Within a part of a millisecond nothing moves: the sources are read by the first call of each.
      if (now - atMs < leastStepMs) return value;
      let raw = 0;
      for (const source of sources) {
        const x = scaled(source);
        if (x <= raw) continue;
        raw = x;
        by = source.name;
      }
      const timeConstant = raw > value ? riseMs : fallMs;
      value += (raw - value) * (1 - Math.exp((atMs - now) / timeConstant));
      atMs = now;
      return value;
    },
    get by() {
      return by;
    },
  };
}
