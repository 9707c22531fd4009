import { type DescMessage, type Message, toBinary } from '@bufbuild/protobuf';
import type { StreamAnswer } from '../../core/call.ts';
import { droppedMessage } from '../../core/dropped-message.ts';
import { decodeRequest, decodeResponse, toMessage, viewOf } from '../codec.ts';
import type { CallRun } from './call-run.ts';

// A hook that answers synchronously must not cost a turn of the microtask queue: hence the promise checks.

/** Decodes and filters the one request of a unary or server-streaming call. */
export function takeRequest(run: CallRun, desc: DescMessage, bytes: Buffer): unknown | Promise<unknown> {
  const message = decodeRequest(desc, bytes);
  run.requestMessages++;
  return run.session?.requestMessage === undefined ? message : run.session.requestMessage(message);
}

/**
 * A request as an answer of a filter takes it. Bytes stay bytes, decoded only for a hook; the hooks of an unknown
 * method (no `desc`) see bytes.
 */
export function takeRequestAs(
  run: CallRun,
  desc: DescMessage | undefined,
  bytes: Buffer,
  encoding: StreamAnswer['encoding'],
): unknown | Promise<unknown> {
  if (desc !== undefined && encoding === 'message') return takeRequest(run, desc, bytes);
  const { session } = run;
  if (session?.requestMessage === undefined) {
    run.requestMessages++;
    return bytes;
  }
  if (desc === undefined) {
    run.requestMessages++;
    return session.requestMessage(bytes);
  }
  const seen = takeRequest(run, desc, bytes);
  return seen instanceof Promise ? seen.then((message) => encodeSeen(desc, message)) : encodeSeen(desc, seen);
}

function encodeSeen(desc: DescMessage, message: unknown): unknown {
  return message === droppedMessage ? message : viewOf(toBinary(desc, message as Message));
}

/** Filters a response; without a filter an init stays as it is, since encoding makes the message anyway. */
export function giveResponse(
  run: CallRun,
  desc: DescMessage | undefined,
  response: unknown,
): unknown | Promise<unknown> {
  const { session } = run;
  if (session?.responseMessage === undefined) return response;
  if (desc === undefined) return session.responseMessage(response);
  return session.responseMessage(
    response instanceof Uint8Array ? decodeResponse(desc, response) : toMessage(desc, response),
  );
}
