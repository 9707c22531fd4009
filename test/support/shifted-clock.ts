import { type Clock, systemClock } from '../../server/core/clock.ts';

/** The system's clock whose wall time can be set forward and back; timers run on as they do. */
export interface ShiftedClock extends Clock {
  shift(ms: number): void;
}

export function createShiftedClock(): ShiftedClock {
  let offsetMs = 0;
  return {
    ...systemClock,
    now: () => systemClock.now() + offsetMs,
    shift: (ms) => {
      offsetMs += ms;
    },
  };
}
