import type { Call, CallKind, Idempotency, Principal } from '../../../server/core/call.ts';
import { AppError, type FieldViolation } from '../../../server/core/errors.ts';
import type { Filter, FilterIsolation } from '../filter.ts';
import type { FilterFolder } from '../load/read-folders.ts';

type Value = string | Uint8Array;
/** Metadata as it crosses to a worker: keys with all their values. */
export type PlainMetadata = readonly (readonly [key: string, values: readonly Value[]])[];

/** A call as it crosses to a worker. */
export interface PlainCall {
  readonly id: string;
  readonly path: string;
  readonly service: string;
  readonly method: string;
  readonly kind: CallKind;
  readonly known: boolean;
  readonly idempotency: Idempotency;
  readonly peer: string;
  readonly deadline: number;
  readonly principal: Principal | undefined;
  readonly requestMetadata: PlainMetadata;
  readonly responseHeaders: PlainMetadata;
  readonly responseTrailers: PlainMetadata;
}

/** The metadata of a call that a filter in a worker may change. */
export const metadataNames = ['requestMetadata', 'responseHeaders', 'responseTrailers'] as const;
/** One of `metadataNames`. */
export type MetadataName = (typeof metadataNames)[number];

/** What a filter in a worker changed on its call. */
export interface CallChanges {
  /** Keys with their new values; none = deleted. */
  readonly metadata: readonly (readonly [name: MetadataName, key: string, values: readonly Value[]])[];
  readonly id?: string;
  readonly principal?: { readonly value: Principal | undefined };
}

/** What a filter in a worker made of a call. */
export interface PlainResult {
  readonly changes: CallChanges;
  readonly answer: readonly unknown[] | undefined;
  readonly error: PlainError | undefined;
}

/** An error as it crosses between threads. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** The parts of an AppError, which is a verdict. */
  readonly app?: Pick<AppError, 'code' | 'reason' | 'metadata' | 'fields' | 'retryAfterMs'>;
}

/** The data of a filter: what the server must know of it to place it in chains. */
export type DeclaredFilter = Pick<
  Filter<unknown, unknown>,
  'id' | 'version' | 'type' | 'order' | 'category' | 'isolation'
> &
  Partial<
    Pick<
      Filter<unknown, unknown>,
      | 'description'
      | 'match'
      | 'timeoutMs'
      | 'maxConcurrent'
      | 'failurePolicy'
      | 'failureCode'
      | 'after'
      | 'before'
      | 'selfTest'
    >
  >;

/** The part of a filter that is data; its hooks stay in the worker. */
export function declarationOf(filter: Filter<unknown, unknown>, isolation: FilterIsolation): DeclaredFilter {
  const { id, version, type, order, category } = filter;
  const { description, match, timeoutMs, maxConcurrent, failurePolicy, failureCode, after, before, selfTest } = filter;
  const data = { description, match, timeoutMs, maxConcurrent, failurePolicy, failureCode, after, before, selfTest };
  const given = Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined));
  return { id, version, type, order, category, isolation, ...given };
}

/** What the server asks of a worker; each request gets one answer. */
export type WorkerRequest =
  | { readonly kind: 'declare'; readonly source: FilterFolder; readonly isIsolated: boolean }
  | { readonly kind: 'open'; readonly rawConfig: unknown }
  | { readonly kind: 'run'; readonly call: PlainCall }
  | { readonly kind: 'ping' }
  | { readonly kind: 'close' };

/** What the server posts: a request, or that it no longer waits for one. */
export type ToWorker =
  | { readonly id: number; readonly request: WorkerRequest }
  | { readonly cancel: number; readonly reason: string };

/** What a worker posts: the answer of a request, or a line for the server's log. */
export type FromWorker =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: PlainError }
  | { readonly log: 'debug' | 'info' | 'warn' | 'error'; readonly message: string; readonly fields: object };

/** What `open` gives. */
export interface OpenedInWorker {
  readonly shownConfig: unknown;
  readonly isEnabled: boolean;
}

/** Anything thrown, ready to cross; of what is no Error only its text. */
export function toPlainError(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined };
  const { name, message, stack } = error;
  if (!(error instanceof AppError)) return { name, message, stack };
  const { code, reason, metadata, fields, retryAfterMs } = error;
  return {
    name,
    message,
    stack,
    app: { code, reason, metadata, fields: [...fields] as FieldViolation[], retryAfterMs },
  };
}

/** The error as it was thrown; an AppError stays one, and with it a verdict. */
export function fromPlainError({ name, message, stack, app }: PlainError): Error {
  if (app === undefined) return Object.assign(new Error(message), { name, stack: stack ?? '' });
  const { retryAfterMs, ...rest } = app;
  return new AppError({ ...rest, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

function plainMetadata(metadata: Call['requestMetadata']): PlainMetadata {
  return metadata.keys().map((key) => [key, metadata.getAll(key)] as const);
}

/** The call, ready to cross; signal and attributes stay behind. */
export function toPlainCall(call: Call): PlainCall {
  const { id, path, service, method, kind, known, idempotency, peer, deadline, principal } = call;
  return {
    ...{ id, path, service, method, kind, known, idempotency, peer, deadline },
    principal: principal && { id: principal.id, scopes: principal.scopes, method: principal.method },
    requestMetadata: plainMetadata(call.requestMetadata),
    responseHeaders: plainMetadata(call.responseHeaders),
    responseTrailers: plainMetadata(call.responseTrailers),
  };
}

/** Makes the changes on the server's own call. */
export function applyChanges(call: Call, { metadata, id, principal }: CallChanges): void {
  for (const [name, key, values] of metadata) {
    call[name].delete(key);
    for (const value of values) call[name].append(key, value);
  }
  if (id !== undefined) call.id = id;
  if (principal !== undefined) call.principal = principal.value;
}
