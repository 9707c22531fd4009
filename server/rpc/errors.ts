import { Code, codeName } from '../core/codes.ts';
import { AppError } from '../core/errors.ts';

/** UNIMPLEMENTED: the path names no method of this server. */
export const methodUnknown = (path: string) =>
  new AppError({
    code: Code.UNIMPLEMENTED,
    reason: 'METHOD_UNKNOWN',
    message: `This server has no method ${path}; list its services with gRPC reflection.`,
    metadata: { path },
  });

/** DEADLINE_EXCEEDED: the caller's deadline passed before the answer. */
export const deadlineExceeded = () =>
  new AppError({
    code: Code.DEADLINE_EXCEEDED,
    reason: 'DEADLINE_EXCEEDED',
    message: 'The deadline of the call passed.',
  });

/** CANCELLED: the caller left. */
export const callCancelled = () =>
  new AppError({ code: Code.CANCELLED, reason: 'CALL_CANCELLED', message: 'The caller cancelled the call.' });

/** UNAVAILABLE: the server is closing; another instance may answer. */
export const serverClosing = () =>
  new AppError({
    code: Code.UNAVAILABLE,
    reason: 'SERVER_CLOSING',
    message: 'The server is closing; retry on another instance.',
    retryAfterMs: 1_000,
  });

/** INVALID_ARGUMENT: the bytes of a request are no such message. */
export const requestMalformed = (typeName: string, cause: unknown) =>
  new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'REQUEST_MALFORMED',
    message: `The request is not a valid ${typeName} in protobuf binary format.`,
    metadata: { type: typeName },
    cause,
  });

/** RESOURCE_EXHAUSTED: a response is larger than the limit. */
export const responseTooLarge = (typeName: string, bytes: number, maxBytes: number) =>
  new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'RESPONSE_TOO_LARGE',
    message: `The response ${typeName} has ${bytes} bytes, more than the limit of ${maxBytes}.`,
    metadata: { bytes: String(bytes), max_bytes: String(maxBytes) },
  });

/** RESOURCE_EXHAUSTED: the request metadata is larger than the limit. */
export const metadataTooLarge = (bytes: number, maxBytes: number) =>
  new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'METADATA_TOO_LARGE',
    message: `The request metadata has ${bytes} bytes, more than the limit of ${maxBytes}.`,
    metadata: { bytes: String(bytes), max_bytes: String(maxBytes) },
  });

/** INTERNAL: code of ours set metadata that HTTP/2 cannot carry. */
export const invalidMetadata = (key: string, why: string, cause: unknown) =>
  new AppError({
    code: Code.INTERNAL,
    reason: 'METADATA_INVALID',
    message: `Metadata "${key}" cannot be sent: ${why}.`,
    metadata: { key },
    cause,
  });

/** INTERNAL: a filter's static answer does not fit the method. */
export const staticAnswerInvalid = (path: string, why: string) =>
  new AppError({
    code: Code.INTERNAL,
    reason: 'STATIC_ANSWER_INVALID',
    message: `The static answer for ${path} ${why}.`,
    metadata: { path },
  });

/** INTERNAL: what a filter answers in place of the endpoint does not fit the method. */
export const answerInvalid = (path: string, why: string) =>
  new AppError({
    code: Code.INTERNAL,
    reason: 'ANSWER_INVALID',
    message: `The answer for ${path} ${why}.`,
    metadata: { path },
  });

/** INTERNAL with fixed text: what the caller learns of an error that nobody foresaw. */
export const internalError = (cause: unknown) =>
  new AppError({ code: Code.INTERNAL, reason: 'INTERNAL', message: 'internal error', cause });

/** A failure that the transport found by itself, e.g. an oversized request or a bad grpc-timeout. */
export const transportFailure = (code: Code, message: string) =>
  new AppError({
    code,
    reason: code === Code.RESOURCE_EXHAUSTED ? 'REQUEST_TOO_LARGE' : codeName(code),
    // The transport says so of unary methods, too.
    message: message.replace(/ request message for server streaming method /, ' request message for '),
  });

/** FAILED_PRECONDITION: another process listens there. */
export const addressInUse = (address: string, cause: unknown) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'ADDRESS_IN_USE',
    message: `Address ${address} is in use; stop the process that listens there or set SHOWRUNNER_ADDRESS to another port (port 0 takes a free one).`,
    metadata: { address },
    cause,
  });

/** FAILED_PRECONDITION: the address cannot be listened on, e.g. an unknown host or a privileged port. */
export const addressUnusable = (address: string, why: string, cause: unknown) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'ADDRESS_UNUSABLE',
    message: `Cannot listen on ${address}: ${why}. Set SHOWRUNNER_ADDRESS to a host and port of this machine.`,
    metadata: { address },
    cause,
  });

/** FAILED_PRECONDITION: the PEM contents make no usable certificate. */
export const tlsInvalid = (why: string, cause: unknown) =>
  new AppError({
    code: Code.FAILED_PRECONDITION,
    reason: 'TLS_INVALID',
    message: `The TLS certificate or key cannot be used: ${why}. Check that all files are PEM, and that certificate and key belong together.`,
    cause,
  });

/** INVALID_ARGUMENT, found by the client before it sends: the request cannot be encoded. */
export const requestInvalid = (typeName: string, why: string, cause: unknown) =>
  new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'REQUEST_INVALID',
    message: `The request cannot be sent as ${typeName}: ${why}.`,
    metadata: { type: typeName },
    cause,
  });

/** INTERNAL, found by the client: the bytes of a response are no such message. */
export const responseMalformed = (typeName: string, cause: unknown) =>
  new AppError({
    code: Code.INTERNAL,
    reason: 'RESPONSE_MALFORMED',
    message: `The response is not a valid ${typeName} in protobuf binary format.`,
    metadata: { type: typeName },
    cause,
  });

/** INVALID_ARGUMENT: the target of a call to another server is malformed. */
export const originInvalid = (target: string) =>
  new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'ORIGIN_INVALID',
    message: `"${target}" is no origin; expected host:port or grpcs://host:port.`,
    metadata: { target },
  });

/** RESOURCE_EXHAUSTED: connections to that many origins are in use. */
export const originsExhausted = (maxOrigins: number) =>
  new AppError({
    code: Code.RESOURCE_EXHAUSTED,
    reason: 'ORIGINS_EXHAUSTED',
    message: `Connections to ${maxOrigins} origins are in use.`,
    metadata: { max_origins: String(maxOrigins) },
  });
