import { tooManyUploads, uploadTakenOver } from './errors.ts';

/** The right of one stream to add to an upload. */
export interface UploadTurn extends Disposable {
  /** Aborted when a newer stream takes over. */
  readonly signal: AbortSignal;
}

/** Who may add to which upload. */
export interface UploadTurns {
  /** Ends the stream that has the turn and waits until it has let go. Throws TOO_MANY_UPLOADS. */
  take(sha256: string): Promise<UploadTurn>;
  /** True while a stream has the turn. */
  has(sha256: string): boolean;
}

/**
 * One stream at a time for each upload, the newest: one that lost its connection may not know it for minutes, and must
 * not keep its successor out.
 */
export function createUploadTurns(mostAtOnce: number): UploadTurns {
  const running = new Map<string, { abort: AbortController; ended: Promise<void> }>();
  return {
    has: (sha256) => running.has(sha256),
    take: async (sha256) => {
      for (let older = running.get(sha256); older; older = running.get(sha256)) {
        older.abort.abort(uploadTakenOver(`uploads/${sha256}`));
        await older.ended;
      }
      if (running.size >= mostAtOnce) throw tooManyUploads(mostAtOnce);
      const abort = new AbortController();
      const { promise: ended, resolve } = Promise.withResolvers<void>();
      running.set(sha256, { abort, ended });
      return {
        signal: abort.signal,
        [Symbol.dispose]: () => {
          running.delete(sha256);
          resolve();
        },
      };
    },
  };
}
