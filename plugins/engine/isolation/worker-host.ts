import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../server/core/clock.ts';
import { messageOf } from '../../../server/core/errors.ts';
import type { Logger } from '../../../server/core/log.ts';
import { filterWorkerEnded } from '../filter-errors.ts';
import { type FromWorker, fromPlainError, type ToWorker, type WorkerRequest } from './isolation-protocol.ts';

/** Bounds of the worker thread of one filter. */
export interface WorkerLimits {
  /** Heap of the thread, in MiB; default 64. */
  readonly maxHeapMb: number;
  /** A thread that has a run over its time and does not answer within this is ended, in ms; default 500. */
  readonly graceMs: number;
  /** Restarts within `restartWindowMs`; then none for `pauseMs`. Default 3. */
  readonly maxRestarts: number;
  /** Default 60,000. */
  readonly restartWindowMs: number;
  /** Default 30,000. */
  readonly pauseMs: number;
}

/** What a worker thread gets where its filter says nothing; docs/filters.md quotes it. */
export const defaultWorkerLimits: WorkerLimits = {
  maxHeapMb: 64,
  graceMs: 500,
  maxRestarts: 3,
  restartWindowMs: 60_000,
  pauseMs: 30_000,
};

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** One thread, from its start to its end. */
export interface FilterThread {
  /** Rejects with the worker's error, or that of `filterWorkerEnded` when the thread ends first. */
  request(request: WorkerRequest, signal?: AbortSignal): Promise<unknown>;
  /** Ends it at once; what waits is rejected. */
  end(why: string): Promise<void>;
  readonly hasEnded: boolean;
}

interface FilterThreadOptions {
  /** For errors and the log. */
  readonly name: string;
  readonly limits: WorkerLimits;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onEnd: (why: string) => void;
  /** Environment variables; default none. */
  readonly env?: NodeJS.ProcessEnv | undefined;
}

const entry = new URL('./isolation-worker.ts', import.meta.url);

/** Starts a thread with bounds on its heap. */
export function startFilterThread({ name, limits, clock, log, onEnd, env = {} }: FilterThreadOptions): FilterThread {
  const worker = new Worker(entry, {
    name: `filter ${name}`,
    env,
    execArgv: ['--disable-warning=ExperimentalWarning'],
    resourceLimits: { maxOldGenerationSizeMb: limits.maxHeapMb, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 },
  });
  worker.unref();
  const pending = new Map<number, Pending>();
  let nextId = 1;
  let endedBy: string | undefined;
  let isPinging = false;

  function finish(why: string): void {
    if (endedBy !== undefined) return;
    endedBy = why;
    for (const { reject } of pending.values()) reject(filterWorkerEnded(name, why));
    pending.clear();
    onEnd(why);
  }

  function send(id: number, request: WorkerRequest): Promise<unknown> {
    if (endedBy !== undefined) return Promise.reject(filterWorkerEnded(name, endedBy));
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    pending.set(id, { resolve, reject });
    worker.postMessage({ id, request } satisfies ToWorker);
    return promise;
  }

  /** The thread has a run over its time: if it is alive it answers a ping, if it loops it never will. */
  function checkAlive(): void {
    if (isPinging || endedBy !== undefined) return;
    isPinging = true;
    const cancel = clock.schedule(limits.graceMs, () => {
      void end(`it did not answer within ${limits.graceMs} ms`);
    });
    send(nextId++, { kind: 'ping' }).then(
      () => {
        isPinging = false;
        cancel();
      },
      () => cancel(),
    );
  }

  function end(why: string): Promise<void> {
    finish(why);
    return worker.terminate().then(() => {});
  }

  worker.on('message', (message: FromWorker) => {
    if ('log' in message) {
      log[message.log](message.message, { ...message.fields });
      return;
    }
    const waiting = pending.get(message.id);
    pending.delete(message.id);
    if ('error' in message) waiting?.reject(fromPlainError(message.error));
    else waiting?.resolve(message.value);
  });
  worker.on('error', (error) => finish(messageOf(error)));
  worker.on('exit', (code) => finish(`it exited with code ${code}`));

  return {
    request: (request, signal) => {
      const id = nextId++;
      const answer = send(id, request);
      if (signal === undefined) return answer;
      const abort = () => {
        pending.delete(id);
        if (endedBy === undefined)
          worker.postMessage({ cancel: id, reason: messageOf(signal.reason) } satisfies ToWorker);
        checkAlive();
      };
      signal.addEventListener('abort', abort, { once: true });
      return answer.finally(() => signal.removeEventListener('abort', abort));
    },
    end,
    get hasEnded() {
      return endedBy !== undefined;
    },
  };
}
