import type { CallKind } from '../../../server/core/call.ts';
import type { Code } from '../../../server/core/codes.ts';
import type { CallPriority } from './call-keys.ts';

/** When a filter runs: before the endpoint, as the endpoint, after it succeeded, or on any failure. */
export const filterTypes = ['inbound', 'endpoint', 'outbound', 'error'] as const;
/** One of `filterTypes`. */
export type FilterType = (typeof filterTypes)[number];

/** What a filter is for; shown in listings. */
export const filterCategories = [
  'abuse',
  'access',
  'admin',
  'authentication',
  'chaos',
  'context',
  'health',
  'observability',
  'origin',
  'overload',
  'resilience',
  'routing',
] as const;
/** One of `filterCategories`. */
export type FilterCategory = (typeof filterCategories)[number];

/**
 * `closed`: a failure of the filter refuses the call. `open`: the call goes on without the filter. `fallback`: its
 * `onFailure` decides.
 */
export const failurePolicies = ['closed', 'open', 'fallback'] as const;
/** One of `failurePolicies`. */
export type FailurePolicy = (typeof failurePolicies)[number];

/**
 * Declarative criteria, all of which must hold. The first four depend on the method only and are resolved once per
 * method: a filter they rule out costs nothing per call. Globs know `*`; a leading `!` excludes.
 */
export interface FilterMatch {
  /** Globs on the full service name. */
  readonly services?: readonly string[];
  /** Globs on the method name. */
  readonly methods?: readonly string[];
  readonly kinds?: readonly CallKind[];
  /** True: only methods with a handler; false: only those without. */
  readonly known?: boolean;
  /** Request metadata: `true` present, `false` absent, text(s) = equal to (one of) them. Keys in lower case. */
  readonly metadata?: Readonly<Record<string, boolean | string | readonly string[]>>;
  /** The principal holds this scope. Judged at the filter's turn, so after authentication. */
  readonly scope?: string;
  /** The priority that was granted to the call is one of these. Judged at the filter's turn, so after it was granted. */
  readonly priorities?: readonly CallPriority[];
  /** Share of calls, 0-100, drawn per call. */
  readonly percent?: number;
}

/** Names of the codes that a failure may have. */
export type FailureCode = Exclude<keyof typeof Code, 'OK'>;

/**
 * What a filter looks at: `headers` only the call, `messages` each message as it passes, `body` the whole request
 * before the endpoint gets any of it. What a filter does not need costs its calls nothing.
 */
export const filterNeeds = ['headers', 'messages', 'body'] as const;
/** One of `filterNeeds`. */
export type FilterNeeds = (typeof filterNeeds)[number];

/** Where a filter runs: in the server's own thread, or in a worker thread of its own. */
export const filterIsolations = ['none', 'worker'] as const;
/** One of `filterIsolations`. */
export type FilterIsolation = (typeof filterIsolations)[number];
