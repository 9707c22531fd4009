import type { Call, CallOutcome, CallPipeline } from '../../../server/core/call.ts';
import { Code } from '../../../server/core/codes.ts';
import { droppedMessage } from '../../../server/core/dropped-message.ts';
import { AppError } from '../../../server/core/errors.ts';

export interface RunResult {
  readonly outcome: CallOutcome;
  readonly error: AppError | undefined;
  /** What the caller got. */
  readonly responses: readonly unknown[];
  /** What the endpoint got; undefined when it did not run. */
  readonly endpointSaw: readonly unknown[] | undefined;
}

export interface RunOptions {
  readonly requests?: readonly unknown[];
  /** Default: echoes the requests. */
  readonly endpoint?: (requests: readonly unknown[]) => readonly unknown[] | Promise<readonly unknown[]>;
}

/** Takes a call through a pipeline in the order of the contract in server/core/call.ts. */
export async function runCall(pipeline: CallPipeline, call: Call, options: RunOptions = {}): Promise<RunResult> {
  const { requests = ['request'], endpoint = (seen) => seen } = options;
  const session = pipeline.open(call);
  const responses: unknown[] = [];
  let endpointSaw: unknown[] | undefined;
  let error: AppError | undefined;
  try {
    const seenByHooks = async function* () {
      for (const message of requests) {
        const seen = session?.requestMessage ? await session.requestMessage(message) : message;
        if (seen !== droppedMessage) yield seen;
      }
    };
    const local = async function* (messages: AsyncIterable<unknown>) {
      endpointSaw = await Array.fromAsync(messages);
      yield* await endpoint(endpointSaw);
    };
    const answer = await session?.inbound?.();
    let given: readonly unknown[];
    if (answer === undefined) {
      endpointSaw = await Array.fromAsync(seenByHooks());
      given = await endpoint(endpointSaw);
    } else if ('messages' in answer) given = answer.messages;
    else given = await Array.fromAsync(answer.respond(seenByHooks(), { call, sendHeaders: () => {}, local }));
    for (const message of given) {
      const seen = session?.responseMessage ? await session.responseMessage(message) : message;
      if (seen !== droppedMessage) responses.push(seen);
    }
    await session?.outbound?.();
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown;
    error = (await session?.error?.(thrown)) ?? thrown;
  }
  const counts = { requestMessages: requests.length, responseMessages: responses.length };
  const outcome = { code: error?.code ?? Code.OK, error, durationMs: 1, ...counts };
  session?.end?.(outcome);
  return { outcome, error, responses, endpointSaw };
}
