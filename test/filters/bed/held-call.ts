import type { CallPipeline } from '../../../server/core/call.ts';
import type { AppError } from '../../../server/core/errors.ts';
import type { FakeCall } from './fake-call.ts';
import { type RunResult, runCall } from './run-call.ts';

/** A call that stays in its endpoint until it is told to end. */
export interface HeldCall {
  /** Lets the endpoint answer. */
  end(): Promise<RunResult>;
  /** Lets the endpoint fail. */
  fail(error: AppError): Promise<RunResult>;
  /** True once the endpoint runs. */
  readonly isEntered: boolean;
  /** The result, whenever it comes. */
  readonly running: Promise<RunResult>;
}

/** Begins a call; it is in its endpoint, refused, or waiting in a filter when this returns. */
export async function holdCall(pipeline: CallPipeline, call: FakeCall): Promise<HeldCall> {
  const gate = Promise.withResolvers<readonly unknown[]>();
  gate.promise.catch(() => {});
  let isEntered = false;
  const running = runCall(pipeline, call, {
    endpoint: () => {
      isEntered = true;
      return gate.promise;
    },
  });
  await new Promise((resolve) => setImmediate(resolve));
  return {
    end: () => {
      gate.resolve(['answer']);
      return running;
    },
    fail: (error) => {
      gate.reject(error);
      return running;
    },
    get isEntered() {
      return isEntered;
    },
    running,
  };
}
