import { findKnee, type KneeCause, type KneeRules, type RampStep } from './knee.ts';

interface RampOptions extends KneeRules {
  /** Percent of the traffic that is admitted first and at most. */
  readonly startPercent: number;
  readonly maxPercent: number;
  /** Factor from one step to the next. */
  readonly factor: number;
  /** Most steps, those that are repeated included. */
  readonly maxSteps: number;
}

/** How a ramp ended. */
export interface RampReport {
  /** `knee`: beyond the best step it got worse. `top`: all was admitted without a knee. `steps`: too many steps. */
  readonly end: 'knee' | 'top' | 'steps';
  readonly cause: KneeCause | undefined;
  /** The last good step: the most that the instance bears. Undefined when the first was bad. */
  readonly best: RampStep | undefined;
  readonly steps: readonly RampStep[];
}

/** Raises a share of traffic step by step until it gets worse. */
export interface Ramp {
  /** Percent to admit now; the last one when the ramp is over. */
  readonly percent: number;
  /** Takes what the present step showed; gives the report when that ends the ramp. */
  take(step: RampStep): RampReport | undefined;
}

/** A step that looks bad is taken once more: a single bad one may be chance, two in a row are the knee. */
export function createRamp(options: RampOptions): Ramp {
  const { startPercent, maxPercent, factor, maxSteps } = options;
  const steps: RampStep[] = [];
  const good: RampStep[] = [];
  let percent = Math.min(startPercent, maxPercent);
  let isDoubtful = false;
  let report: RampReport | undefined;

  function finish(end: RampReport['end'], cause?: KneeCause): RampReport {
    report = { end, cause, best: good.at(-1), steps };
    return report;
  }

  return {
    get percent() {
      return percent;
    },
    take: (step) => {
      if (report !== undefined) return report;
      steps.push(step);
      const cause = findKnee(step, good, options);
      if (cause !== undefined && isDoubtful) return finish('knee', cause);
      isDoubtful = cause !== undefined;
      if (!isDoubtful) {
        good.push(step);
        if (percent >= maxPercent) return finish('top');
        percent = Math.min(maxPercent, percent * factor);
      }
      return steps.length >= maxSteps ? finish('steps', cause) : undefined;
    },
  };
}
