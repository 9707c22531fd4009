import { messageOf } from './errors.ts';
import type { Logger } from './log.ts';

/** Owns resources and releases them in reverse order of their acquisition. */
export interface Lifecycle {
  /** Registers a release step; throws once closing has begun. */
  defer(name: string, release: () => void | Promise<void>): void;
  /** Runs all steps, newest first, each even if another failed; rejects with the first failure. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a lifecycle reports to, and how long it waits. */
export interface LifecycleOptions {
  readonly log: Logger;
  /** A release step that takes longer is reported and left behind, in ms. Default 15,000. */
  readonly stepTimeoutMs?: number;
}

/** A lifecycle without steps. */
export function createLifecycle({ log, stepTimeoutMs = 15_000 }: LifecycleOptions): Lifecycle {
  const steps: { name: string; release: () => void | Promise<void> }[] = [];
  let closing: Promise<void> | undefined;

  async function releaseAll(): Promise<void> {
    let firstError: unknown;
    for (let step = steps.pop(); step; step = steps.pop()) {
      try {
        await withTimeout(step.release(), step.name);
      } catch (error) {
        firstError ??= error;
        log.error('release step failed', { step: step.name, error: messageOf(error) });
      }
    }
    if (firstError !== undefined) throw firstError;
  }

  async function withTimeout(work: void | Promise<void>, name: string): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(new Error(`release of ${name} took over ${stepTimeoutMs} ms`)),
      stepTimeoutMs,
    );
    try {
      await Promise.race([work, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  const close = () => {
    closing ??= releaseAll();
    return closing;
  };
  return {
    defer: (name, release) => {
      if (closing !== undefined) throw new Error(`cannot acquire ${name}: closing has begun`);
      steps.push({ name, release });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
