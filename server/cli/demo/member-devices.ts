import type { Notification } from '../../../proto/gen/showrunner/notifications/v1/notification_pb.ts';
import type { DemoClients } from './demo-clients.ts';

/** An online device: its stream is open, and what it was pushed can be waited for. */
export interface OnlineDevice {
  /** Resolves with the next push of this kind that was not given before. */
  nextPush(kind: string): Promise<Notification>;
  close(): void;
}

const pushWaitMs = 10_000;

/** Opens a device's Subscribe stream; resolves once the server said hello. */
export async function openDevice(
  { notifications }: DemoClients,
  device: { device: string; profile: string; category: string },
): Promise<OnlineDevice> {
  const closing = new AbortController();
  const pushed: Notification[] = [];
  let wake: () => void = () => {};
  let failure: unknown;
  const hello = Promise.withResolvers<void>();
  const read = async () => {
    // As long as the demo runs: it is closed, not timed.
    for await (const { frame } of notifications.subscribe(
      { device },
      { signal: closing.signal, deadlineMs: undefined },
    )) {
      if (frame.case === 'hello') hello.resolve();
      if (frame.case === 'notification') pushed.push(frame.value);
      wake();
    }
  };
  read().catch((error: unknown) => {
    if (closing.signal.aborted) return;
    failure = error;
    hello.reject(error);
    wake();
  });
  const tooLate = setTimeout(() => hello.reject(new Error(`no hello within ${pushWaitMs} ms`)), pushWaitMs);
  await hello.promise
    .finally(() => clearTimeout(tooLate))
    .catch((error: unknown) => {
      closing.abort();
      throw error;
    });
  return {
    nextPush: async (kind) => {
      const until = performance.now() + pushWaitMs;
      for (;;) {
        const index = pushed.findIndex((notification) => notification.kind === kind);
        const found = index < 0 ? undefined : pushed.splice(index, 1)[0];
        if (found) return found;
        if (failure !== undefined) throw failure;
        if (performance.now() > until) throw new Error(`no ${kind} was pushed within ${pushWaitMs} ms`);
        const arrival = Promise.withResolvers<void>();
        wake = arrival.resolve;
        const timer = setTimeout(arrival.resolve, 100);
        await arrival.promise;
        clearTimeout(timer);
      }
    },
    close: () => closing.abort(),
  };
}
