import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Uploads } from './uploads.ts';

/** What is cleaned and how often. */
export interface CleanUploadsDeps {
  readonly uploads: Pick<Uploads, 'clean'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Pause between two rounds, in ms. Default an hour. */
  readonly everyMs?: number;
}

/** Removes uploads that nobody goes on with, at once and then from time to time. A round that fails is logged. */
export function cleanUploads({ uploads, clock, log, everyMs = 3_600_000 }: CleanUploadsDeps): {
  close(): Promise<void>;
} {
  const stopping = new AbortController();
  const run = async () => {
    try {
      while (!stopping.signal.aborted) {
        await cleanOnce();
        await clock.sleep(everyMs, stopping.signal);
      }
    } catch {
      // The sleep ends so when it is time to stop.
    }
  };
  const cleanOnce = async () => {
    try {
      const removed = await uploads.clean(stopping.signal);
      if (removed > 0) log.info('uploads that were given up are removed', { uploads: removed });
    } catch (error) {
      if (!stopping.signal.aborted) log.warn('uploads could not be cleaned', { error: messageOf(error) });
    }
  };
  const running = run();
  return {
    close: async () => {
      stopping.abort();
      await running;
    },
  };
}
