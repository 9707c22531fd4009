/** Lets a bounded number of holders in at once; who waits is taken owner by owner in turn. */
export interface FairGate {
  /** Resolves with the function that gives the place back; rejects with the signal's reason when aborted before. */
  enter(owner: string, signal: AbortSignal): Promise<() => void>;
  holders(): number;
  waiting(): number;
}

/** A gate with that many places. Who waits is not bounded here: each waits no longer than its own signal lets it. */
export function createFairGate(places: number): FairGate {
  /** Owners in turn, each with its queue; an owner without waiters is not listed. */
  const queues = new Map<string, (() => void)[]>();
  let holders = 0;

  function leave(): void {
    const next = queues.entries().next().value;
    if (next === undefined) {
      holders--;
      return;
    }
    const [owner, queue] = next;
    const admit = queue.shift();
    queues.delete(owner);
    if (queue.length > 0) queues.set(owner, queue);
    admit?.();
  }

  function pass(): () => void {
    let isHeld = true;
    return () => {
      if (isHeld) leave();
      isHeld = false;
    };
  }

  return {
    enter: (owner, signal) => {
      signal.throwIfAborted();
      if (holders < places) {
        holders++;
        return Promise.resolve(pass());
      }
      const { promise, resolve, reject } = Promise.withResolvers<() => void>();
      const queue = queues.get(owner) ?? [];
      const admit = () => {
        signal.removeEventListener('abort', giveUp);
        resolve(pass());
      };
      const giveUp = () => {
        queue.splice(queue.indexOf(admit), 1);
        if (queue.length === 0) queues.delete(owner);
        reject(signal.reason);
      };
      queue.push(admit);
      queues.set(owner, queue);
      signal.addEventListener('abort', giveUp, { once: true });
      return promise;
    },
    holders: () => holders,
    waiting: () => [...queues.values()].reduce((count, queue) => count + queue.length, 0),
  };
}
