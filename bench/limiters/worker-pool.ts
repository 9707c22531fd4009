import type { EventQueue } from './event-queue.ts';

/** Simulated workers behind a first-come queue. */
export interface WorkerPool {
  /** Queues a call; `done` runs when it was served, `serviceMs` after its turn came. */
  submit(serviceMs: () => number, done: () => void): void;
}

export function createWorkerPool(queue: EventQueue, workers: number): WorkerPool {
  const waiting: (() => void)[] = [];
  let busy = 0;

  function work(): void {
    if (busy >= workers) return;
    const next = waiting.shift();
    if (next === undefined) return;
    busy++;
    next();
  }

  return {
    submit: (serviceMs, done) => {
      waiting.push(() =>
        queue.at(queue.nowMs + serviceMs(), () => {
          busy--;
          done();
          work();
        }),
      );
      work();
    },
  };
}

/** Calls `arrive` at random moments, `perSecond` times a second on average, until a time, ms. */
export function startArrivals(
  queue: EventQueue,
  random: { next(): number },
  perSecond: (second: number) => number,
  untilMs: number,
  arrive: () => void,
): void {
  const plan = () => {
    const waitMs = (-Math.log(1 - random.next()) * 1000) / perSecond(queue.nowMs / 1000);
    queue.at(queue.nowMs + waitMs, () => {
      if (queue.nowMs >= untilMs) return;
      arrive();
      plan();
    });
  };
  plan();
}
