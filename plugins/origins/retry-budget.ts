/** Bounds extra calls (retries, hedges) to a share of the calls in progress, so that they cannot make a storm. */
export interface RetryBudget {
  /** Counts a call in; the returned function counts it out. */
  enter(): () => void;
  /** Permission for one extra call, to be given back when it ends; undefined when the budget is spent. */
  take(): (() => void) | undefined;
  /** Extra calls that were refused. */
  readonly refused: number;
}

interface RetryBudgetConfig {
  /** Extra calls at once, in percent of the calls in progress. */
  readonly percent: number;
  /** Extra calls that are always allowed at once. */
  readonly least: number;
}

/** Source: Envoy's retry budget, 20 % and 3 by default. */
export function createRetryBudget({ percent, least }: RetryBudgetConfig): RetryBudget {
  let active = 0;
  let extra = 0;
  let refused = 0;
  const once = (undo: () => void) => {
    let isDone = false;
    return () => {
      if (!isDone) undo();
      isDone = true;
    };
  };
  return {
    enter: () => {
      active++;
      return once(() => active--);
    },
    take: () => {
      if (extra >= Math.max(least, Math.floor((active * percent) / 100))) {
        refused++;
        return undefined;
      }
      extra++;
      return once(() => extra--);
    },
    get refused() {
      return refused;
    },
  };
}
