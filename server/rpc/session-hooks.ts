import type { DescMessage } from '@bufbuild/protobuf';
import type { CallRun } from './call-run.ts';
import { decodeRequest, toMessage } from './codec.ts';

// A hook that answers synchronously must not cost a turn of the microtask queue: hence the promise checks.

/** Decodes and filters the one request of a unary or server-streaming call. */
export function takeRequest(run: CallRun, desc: DescMessage, bytes: Buffer): unknown | Promise<unknown> {
  const message = decodeRequest(desc, bytes);
  run.requestMessages++;
  return run.session?.requestMessage === undefined ? message : run.session.requestMessage(message);
}

/** Filters a response; without a filter an init stays as it is, since encoding makes the message anyway. */
export function giveResponse(run: CallRun, desc: DescMessage, response: unknown): unknown | Promise<unknown> {
  const { session } = run;
  if (session?.responseMessage === undefined) return response;
  return session.responseMessage(response instanceof Uint8Array ? response : toMessage(desc, response));
}
