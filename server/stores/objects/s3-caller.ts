import { S3Client } from '@aws-sdk/client-s3';
import type { Clock } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import { storeClosed } from '../store-errors.ts';
import { isPassing, s3Failure } from './s3-errors.ts';
import type { S3Location } from './s3-url.ts';

/** How long a request is tried. */
export interface S3Retries {
  /** Attempts of one request, the first among them. Default 6. */
  readonly attempts: number;
  /** Upper bound of the first pause, in ms; it doubles per attempt. Default 200. */
  readonly baseMs: number;
  /** Upper bound of every pause, in ms. Default 5,000. */
  readonly mostMs: number;
  /** Deadline of one attempt, in ms: until the answer's head, or without one new byte of its body. Default 60,000. */
  readonly attemptMs: number;
}

/** Six attempts; where each fails at once, three to six seconds together. */
export const defaultRetries: S3Retries = { attempts: 6, baseMs: 200, mostMs: 5_000, attemptMs: 60_000 };

/** Which bucket is called, and how patiently. */
export interface S3CallerOptions {
  readonly location: S3Location;
  readonly retries: S3Retries;
  readonly clock: Clock;
  readonly random: Random;
}

/** Requests to one bucket: each has a deadline, hears an abort at once and is repeated where that may help. */
export interface S3Caller {
  readonly client: S3Client;
  readonly location: S3Location;
  readonly retries: S3Retries;
  readonly clock: Clock;
  /**
   * Runs the request. Rejects with what `send` threw last when it is not worth another attempt (see `s3Failure`), with
   * OBJECTS_UNAVAILABLE when all attempts are spent, with the signal's reason when aborted, with STORE_CLOSED.
   */
  call<T>(send: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Waits before attempt `attempt` + 1, a random part of the bound. */
  pause(attempt: number, signal?: AbortSignal): Promise<void>;
  /** What to throw for what `call` threw: STORE_CLOSED, the signal's reason, or the error by `s3Failure`. */
  failureOf(error: unknown, signal?: AbortSignal): unknown;
  throwIfClosed(): void;
  close(): void;
}

/** Connects with the first request. */
export function createS3Caller({ location, retries, clock, random }: S3CallerOptions): S3Caller {
  const client = createClient(location);
  const running = new Set<AbortController>();
  let isClosed = false;

  /**
   * Runs `work` with a signal that is aborted with the caller's and at close. Not AbortSignal.any: what it makes stays in
   * memory as long as the longest-lived of its sources while somebody listens, and the SDK goes on listening.
   */
  async function linked<T>(signal: AbortSignal | undefined, work: (ends: AbortController) => Promise<T>): Promise<T> {
    const ends = new AbortController();
    const onAbort = () => ends.abort(signal?.reason);
    running.add(ends);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    try {
      return await work(ends);
    } finally {
      running.delete(ends);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  const pause = (attempt: number, signal?: AbortSignal) => {
    const bound = Math.min(retries.mostMs, retries.baseMs * 2 ** (attempt - 1));
    return linked(signal, (ends) => clock.sleep(bound * (0.5 + random.next() / 2), ends.signal));
  };

  const once = <T>(send: (signal: AbortSignal) => Promise<T>, signal: AbortSignal | undefined) =>
    linked(signal, async (ends) => {
      const cancel = clock.schedule(retries.attemptMs, () => ends.abort(new AttemptTimeout()));
      try {
        return await send(ends.signal);
      } catch (error) {
        // The SDK throws an error of its own for every abort.
        throw ends.signal.aborted ? ends.signal.reason : error;
      } finally {
        cancel();
      }
    });

  const throwIfClosed = () => {
    if (isClosed) throw storeClosed('objects');
  };

  return {
    client,
    location,
    retries,
    clock,
    pause,
    throwIfClosed,
    call: async (send, signal) => {
      for (let attempt = 1; ; attempt++) {
        throwIfClosed();
        signal?.throwIfAborted();
        try {
          return await once(send, signal);
        } catch (error) {
          throwIfClosed();
          signal?.throwIfAborted();
          if (!isPassing(error)) throw error;
          if (attempt >= retries.attempts) throw s3Failure(location, error);
          await pause(attempt, signal).catch((reason) => {
            throwIfClosed();
            throw reason;
          });
        }
      }
    },
    failureOf: (error, signal) => {
      if (isClosed) return storeClosed('objects');
      return signal?.aborted ? signal.reason : s3Failure(location, error);
    },
    close: () => {
      isClosed = true;
      for (const ends of running) ends.abort(storeClosed('objects'));
      client.destroy();
    },
  };
}

/** Counts as a passing failure by its name. */
class AttemptTimeout extends Error {
  constructor() {
    super('the attempt took too long');
    this.name = 'TimeoutError';
  }
}

function createClient({ endpoint, region, pathStyle }: S3Location): S3Client {
  // A server that is not AWS's mostly takes any region; the SDK wants one.
  const chosen = region ?? (endpoint === undefined ? undefined : (process.env['AWS_REGION'] ?? 'us-east-1'));
  return new S3Client({
    ...(chosen === undefined ? {} : { region: chosen }),
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: pathStyle,
    // Repeats are ours: they hear aborts, and their pauses are bounded and tested.
    maxAttempts: 1,
    // Checksums in trailers are unknown to many servers; bodies go with Content-MD5 and a signed SHA-256 instead.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    requestHandler: { connectionTimeout: 5_000, httpAgent: { maxSockets: 128 }, httpsAgent: { maxSockets: 128 } },
  });
}
