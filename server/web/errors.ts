import { Code } from '../core/codes.ts';
import { AppError } from '../core/errors.ts';

/** RESOURCE_EXHAUSTED: as many calls as the listener takes are in progress. */
export const webCallsExhausted = (maxCalls: number) =>
  new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'WEB_CALLS_EXHAUSTED',
    message: `The gRPC-web listener has ${maxCalls} calls in progress, which is its limit; retry later.`,
    metadata: { max_calls: String(maxCalls) },
    retryAfterMs: 1_000,
  });

/** RESOURCE_EXHAUSTED: a message, or a body of several, is larger than the limit. `what` is e.g. `message`. */
export const requestTooLarge = (what: string, maxBytes: number) =>
  new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'REQUEST_TOO_LARGE',
    message: `The request ${what} is larger than the limit of ${maxBytes} bytes.`,
    metadata: { max_bytes: String(maxBytes) },
  });

/** INVALID_ARGUMENT: the body ends within a frame. */
export const frameTruncated = () =>
  new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'FRAME_TRUNCATED',
    message: 'The request body ends in the middle of a message frame.',
  });

/** INVALID_ARGUMENT: a frame that is no message. */
export const frameMalformed = (flags: number) =>
  new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'FRAME_MALFORMED',
    message: `A request frame begins with byte ${flags}; expected 0, which is a message without compression.`,
    metadata: { flags: String(flags) },
  });

/** UNIMPLEMENTED: browsers do not compress messages, and gRPC-web foresees it for bodies only. */
export const messageCompressed = () =>
  new AppError({
    code: Code.UNIMPLEMENTED,
    reason: 'MESSAGE_COMPRESSED',
    message: 'Compressed messages are not supported over gRPC-web; send them without compression.',
  });

/** INVALID_ARGUMENT: the body of a call in text mode is no base64. */
export const textMalformed = () =>
  new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'TEXT_MALFORMED',
    message: 'The request body is not base64, as application/grpc-web-text must be.',
  });

/** INVALID_ARGUMENT: a header that gRPC cannot carry. */
export const headerMalformed = (name: string, expected: string) =>
  new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'HEADER_MALFORMED',
    message: `The header ${name} cannot be passed on: expected ${expected}.`,
    metadata: { header: name },
  });
