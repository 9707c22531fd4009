import { Code } from './codes.ts';

/** One faulty field of a request; `field` is the proto path, e.g. `job.params.title`. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What an AppError says, to the caller and to the log. */
export interface AppErrorInit {
  /** gRPC status code the caller sees. */
  readonly code: Code;
  /** UPPER_SNAKE, at most 63 characters: the machine-readable cause (google.rpc.ErrorInfo.reason). */
  readonly reason: string;
  /** One sentence for a person: what was expected and what came. */
  readonly message: string;
  /** Values named in the message, for machines (ErrorInfo.metadata). */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Faulty request fields (google.rpc.BadRequest). */
  readonly fields?: readonly FieldViolation[];
  /** When a retry may succeed, in milliseconds (google.rpc.RetryInfo). */
  readonly retryAfterMs?: number;
  /** Encoded google.rpc.Status of another server, sent in place of one made from the fields above. */
  readonly statusDetails?: Uint8Array;
  /** Kept for the log, never sent. */
  readonly cause?: unknown;
}

/**
 * The one error type of showrunner. Each area makes its errors in a table of small functions
 * (`jobNotFound(name)`), so that code, reason and text stand side by side; server/rpc alone maps
 * them to google.rpc.Status. Anything else that is thrown reaches the caller as INTERNAL with fixed text.
 */
export class AppError extends Error {
  readonly code: Code;
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly fields: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;
  readonly statusDetails: Uint8Array | undefined;

  constructor(init: AppErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.name = 'AppError';
    this.code = init.code;
    this.reason = init.reason;
    this.metadata = init.metadata ?? {};
    this.fields = init.fields ?? [];
    this.retryAfterMs = init.retryAfterMs;
    this.statusDetails = init.statusDetails;
  }
}

/** INVALID_ARGUMENT that names every faulty field. `fields` must not be empty. */
export function invalidFields(fields: readonly FieldViolation[]): AppError {
  return new AppError({
    code: Code.INVALID_ARGUMENT,
    reason: 'INVALID_FIELDS',
    message: fields.map((fault) => `${fault.field}: ${fault.description}`).join('; '),
    fields,
  });
}

/** INVALID_ARGUMENT for one field. */
export function invalidField(field: string, description: string): AppError {
  return invalidFields([{ field, description }]);
}

/** NOT_FOUND for a resource name, e.g. `jobs/abc`. */
export function notFound(kind: string, name: string): AppError {
  return new AppError({
    code: Code.NOT_FOUND,
    reason: `${kind.toUpperCase()}_NOT_FOUND`,
    message: `${kind} "${name}" does not exist`,
    metadata: { name },
  });
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** True for the error that an aborted AbortSignal makes. */
export function isAbortError(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError');
}
