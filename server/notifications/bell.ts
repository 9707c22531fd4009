/** Lets one waiter sleep until it is rung; a ring with nobody waiting is kept for the next wait. */
export interface Bell {
  ring(): void;
  wait(): Promise<void>;
}

/** Not rung yet. */
export function createBell(): Bell {
  let isRung = false;
  let wake: (() => void) | undefined;
  return {
    ring: () => {
      isRung = true;
      wake?.();
    },
    wait: async () => {
      if (!isRung) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        await promise;
        wake = undefined;
      }
      isRung = false;
    },
  };
}
