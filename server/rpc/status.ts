import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type Any, anyPack, anyUnpack, durationMs } from '@bufbuild/protobuf/wkt';
import { Metadata } from '@grpc/grpc-js';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from '../../proto/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../proto/gen/google/rpc/status_pb.ts';
import { Code, codeName } from '../core/codes.ts';
import type { AppErrorInit, FieldViolation } from '../core/errors.ts';
import { AppError } from '../core/errors.ts';
import { viewOf } from './codec.ts';
import { toDuration } from './edge/wkt-time.ts';

/** Trailer that carries google.rpc.Status. */
export const detailsKey = 'grpc-status-details-bin';
/** Trailer that says how long to wait before a retry. */
export const pushbackKey = 'grpc-retry-pushback-ms';
const domain = 'showrunner.dev';

/** Callers refuse trailers over 8 KiB (grpc-java's default); base64 adds a third and grpc-message repeats the text. */
const maxDetailsBytes = 4_096;
const maxMessageCharacters = 1_024;

/** A status as the transport sends it; an Error too, because tracing reads its name and message. */
export class StatusError extends Error {
  readonly code: Code;
  readonly details: string;
  readonly metadata: Metadata;

  constructor(code: Code, details: string, metadata: Metadata) {
    super(details);
    this.name = 'StatusError';
    this.code = code;
    this.details = details;
    this.metadata = metadata;
  }
}

/** Turns an error into the status on the wire; `trailers` (not changed) are sent along. */
export function toStatus(error: AppError, callId: string | undefined, trailers: Metadata | undefined): StatusError {
  const metadata = trailers?.clone() ?? new Metadata();
  const message = toSendable(error.message);
  const { statusDetails } = error;
  metadata.set(detailsKey, statusDetails ? viewOf(statusDetails) : encodeDetails(error, message, callId));
  if (error.retryAfterMs !== undefined) metadata.set(pushbackKey, String(Math.ceil(error.retryAfterMs)));
  return new StatusError(error.code, message, metadata);
}

/** Lone surrogates cannot be percent-encoded into grpc-message, and long texts do not fit. */
function toSendable(text: string): string {
  const short = text.length > maxMessageCharacters ? `${text.slice(0, maxMessageCharacters - 1)}…` : text;
  return short.toWellFormed();
}

function encodeDetails(error: AppError, message: string, callId: string | undefined): Buffer {
  const encode = (details: Any[]) =>
    Buffer.from(toBinary(StatusSchema, create(StatusSchema, { code: error.code, message, details })));
  for (let kept = error.fields.length; ; kept = Math.floor(kept / 2)) {
    const bytes = encode(detailsOf(error, error.metadata, error.fields.slice(0, kept), callId));
    if (bytes.byteLength <= maxDetailsBytes) return bytes;
    if (kept === 0) return encode(detailsOf(error, {}, [], callId));
  }
}

function detailsOf(
  error: AppError,
  metadata: Readonly<Record<string, string>>,
  fields: readonly FieldViolation[],
  callId: string | undefined,
): Any[] {
  const info: MessageInitShape<typeof ErrorInfoSchema> = { reason: error.reason, domain, metadata: { ...metadata } };
  const details = [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, info))];
  if (fields.length > 0) {
    const fieldViolations = fields.map(({ field, description }) => ({ field, description }));
    details.push(anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations })));
  }
  if (error.retryAfterMs !== undefined) {
    const retryDelay = toDuration(Math.ceil(error.retryAfterMs));
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
  }
  if (callId !== undefined) {
    details.push(anyPack(RequestInfoSchema, create(RequestInfoSchema, { requestId: callId })));
  }
  return details;
}

/** A status as the transport reports it. */
export interface ReceivedStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata?: Metadata | null | undefined;
}

/** The reverse of `toStatus`: a status without readable details gets its code's name as reason. */
export function fromStatus(status: ReceivedStatus, cause?: unknown): AppError {
  const code = Object.values(Code).find((known) => known === status.code && known !== Code.OK) ?? Code.UNKNOWN;
  return new AppError({
    code,
    reason: codeName(code),
    message: status.details,
    ...readDetails(status.metadata),
    ...(cause === undefined ? {} : { cause }),
  });
}

type Details = Partial<Pick<AppErrorInit, 'reason' | 'metadata' | 'fields' | 'retryAfterMs'>>;

function readDetails(metadata: Metadata | null | undefined): Details {
  const bytes = metadata?.get(detailsKey)[0];
  if (bytes === undefined || typeof bytes === 'string') return {};
  try {
    return Object.assign({}, ...fromBinary(StatusSchema, bytes).details.map(readDetail));
  } catch {
    // Foreign servers may put anything there; code and text still tell the failure.
    return {};
  }
}

function readDetail(detail: Any): Details {
  const info = anyUnpack(detail, ErrorInfoSchema);
  if (info) return { reason: info.reason, metadata: info.metadata };
  const badRequest = anyUnpack(detail, BadRequestSchema);
  if (badRequest) {
    return { fields: badRequest.fieldViolations.map(({ field, description }) => ({ field, description })) };
  }
  const delay = anyUnpack(detail, RetryInfoSchema)?.retryDelay;
  return delay ? { retryAfterMs: durationMs(delay) } : {};
}
