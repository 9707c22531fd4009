import type { CallPriority } from '../../engine/filter.ts';

/** Sub-priorities of each class: 0 matters most, 100 least. A call draws its own within its class. */
const bands: Readonly<Record<CallPriority, readonly [from: number, to: number]>> = {
  CRITICAL: [0, 2],
  DEGRADED: [2, 40],
  BEST_EFFORT: [40, 70],
  BULK: [70, 100],
};

/** Sub-priority for a draw in [0, 1): spread evenly over the class, so that a class is shed by degrees. */
export function subPriority(priority: CallPriority, draw: number): number {
  const [from, to] = bands[priority];
  return from + (to - from) * draw;
}

/**
 * Sub-priorities above this are shed at pressure `x`, 0-1: 100·(1−x³), which gives 95.7 at 0.35, 48.8 at 0.8 and 14.3
 * at 0.95. Source: Netflix, "Keeping Netflix reliable using prioritized load shedding", 2020.
 */
export function shedThreshold(x: number): number {
  return 100 * (1 - x ** 3);
}
