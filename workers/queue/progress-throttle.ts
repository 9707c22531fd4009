import type { Clock } from '../../server/core/clock.ts';
import type { JobProgress } from './job-kind.ts';

interface ProgressThrottle {
  /** Takes a report; never waits and never throws. */
  push(report: JobProgress): void;
  /** Sends what is held back. */
  flush(): Promise<void>;
}

interface ProgressThrottleOptions {
  readonly clock: Clock;
  readonly send: (report: JobProgress) => Promise<void>;
  /** Least time between two sent reports of one stage, in ms. Default 250. */
  readonly minIntervalMs?: number;
}

/** Ends of stages that may wait while Redis is away; older ones are dropped. */
const maxHeldStages = 32;
const maxDetailChars = 2_000;

/** Forwards a few reports a second: the newest of each interval, and always the last one of each stage. */
export function createProgressThrottle(options: ProgressThrottleOptions): ProgressThrottle {
  const { clock, send, minIntervalMs = 250 } = options;
  let stageEnds: JobProgress[] = [];
  let newest: JobProgress | undefined;
  let sending: Promise<void> | undefined;
  let cancelTimer: (() => void) | undefined;
  let isFlushing = false;
  let lastSentMs = Number.NEGATIVE_INFINITY;

  const drain = async () => {
    for (let report = next(); report !== undefined; report = next()) {
      lastSentMs = clock.monotonic();
      await send(report);
    }
  };
  const waitMs = () => (isFlushing ? 0 : lastSentMs + minIntervalMs - clock.monotonic());
  const next = (): JobProgress | undefined => {
    const stageEnd = stageEnds.shift();
    if (stageEnd !== undefined) return stageEnd;
    if (newest === undefined || waitMs() > 0) return undefined;
    const report = newest;
    newest = undefined;
    return report;
  };
  const start = (): Promise<void> => {
    cancelTimer?.();
    cancelTimer = undefined;
    sending ??= drain().finally(() => {
      sending = undefined;
      if (newest !== undefined) wake();
    });
    return sending;
  };
  /** Sends now, or when the interval is over. A failed send is found by the next command of the attempt. */
  const wake = () => {
    if (sending !== undefined || cancelTimer !== undefined) return;
    const ms = waitMs();
    if (ms <= 0) start().catch(() => {});
    else cancelTimer = clock.schedule(ms, () => void start().catch(() => {}));
  };

  return {
    push: (report) => {
      if (newest !== undefined && newest.stage !== report.stage)
        stageEnds = [...stageEnds, newest].slice(-maxHeldStages);
      newest = bounded(report);
      wake();
    },
    flush: async () => {
      isFlushing = true;
      try {
        while (sending !== undefined || newest !== undefined || stageEnds.length > 0) await start();
      } finally {
        isFlushing = false;
      }
    },
  };
}

function bounded(report: JobProgress): JobProgress {
  const { fraction, stage, message, detail } = report;
  const size = detail === undefined ? 0 : JSON.stringify(detail).length;
  return {
    fraction: Number.isFinite(fraction) ? Math.min(1, Math.max(0, fraction)) : 0,
    stage: stage.slice(0, 100),
    ...(message === undefined ? {} : { message: message.slice(0, 500) }),
    ...(detail === undefined || size > maxDetailChars ? {} : { detail }),
  };
}
