import type { Call } from '../core/call.ts';
import type { Code } from '../core/codes.ts';

/** Where a version is in its life; `rolled_back` and `closed` end it. */
export type FilterStageName = 'staged' | 'shadow' | 'canary' | 'active' | 'disabled' | 'rolled_back' | 'closed';
/** When a filter runs. */
export type FilterTypeName = 'inbound' | 'endpoint' | 'outbound' | 'error';

/** One version of a filter. */
export interface FilterInfo {
  readonly id: string;
  readonly version: string;
  readonly type: FilterTypeName;
  readonly order: number;
  readonly category: string;
  readonly failurePolicy: 'closed' | 'open' | 'fallback';
  readonly timeoutMs: number;
  readonly stage: FilterStageName;
  /** Share of the calls on trial, 0-1. */
  readonly share: number;
  /** Why it has its stage; of a trial the comparison so far. */
  readonly explanation: string;
  /** Without secrets. */
  readonly config: unknown;
  /** SHA-256 of its source, in hex. */
  readonly hash: string;
  /** Unix ms. */
  readonly loadedAtMs: number;
  readonly counts: {
    readonly ran: number;
    readonly skipped: number;
    readonly answered: number;
    readonly refused: number;
    readonly failed: number;
    readonly overloaded: number;
    readonly timedOut: number;
  };
  /** Time per call in nanoseconds; undefined before the first. */
  readonly p50Ns: number | undefined;
  readonly p99Ns: number | undefined;
  /** Calls that hold it now. */
  readonly callsInFlight: number;
}

/** Source of one new version. */
export interface FilterSourceInfo {
  /** `namespace.name`. */
  readonly id: string;
  /** One ESM file, TypeScript or JavaScript. */
  readonly source: string;
  /** ed25519 over the source; undefined = unsigned. */
  readonly signature: Uint8Array | undefined;
  /** Its configuration; undefined = the one of the active version. */
  readonly config: unknown;
}

/** What one filter did in one call. */
export interface FilterRunInfo {
  readonly id: string;
  readonly version: string;
  readonly type: FilterTypeName;
  readonly status: 'ran' | 'skipped' | 'failed' | 'timed_out' | 'short_circuited' | 'disabled';
  /** The criterion that skipped it, or the kind of failure; empty when the status says all. */
  readonly detail: string;
  /** Time of its hooks in nanoseconds, waits included. */
  readonly ns: number;
  /** The part of `ns` in which it waited. */
  readonly waitNs: number;
}

/** An ended call with all that its filters did. */
export interface CallInfo {
  readonly path: string;
  /** Unix ms. */
  readonly startMs: number;
  /** Every filter of the set in running order, also those that were ruled out. */
  readonly filters: readonly FilterRunInfo[];
  readonly code: Code;
  /** Number of the filter set that the call ran on. */
  readonly snapshotVersion: number;
}

/** What decides which filters meet the calls of a method. */
export type MethodInfo = Pick<Call, 'service' | 'method' | 'kind' | 'known' | 'requestType' | 'responseType'>;

/** What the filter engine lets an operator do; server/app hands it in. */
export interface FilterAdmin {
  /** Number of the set that new calls take. */
  readonly snapshot: number;
  /** By type, order and id; `method`: only what a call of it would meet. */
  list(options: { readonly includePast: boolean; readonly method?: MethodInfo }): readonly FilterInfo[];
  /** Without `version` the one that serves. Throws FILTER_NOT_FOUND. */
  get(id: string, version?: string): FilterInfo;
  /** Takes new versions through all checks and opens them as one group. Throws FILTER_REFUSED. */
  stage(
    sources: readonly FilterSourceInfo[],
  ): Promise<{ readonly group: string; readonly filters: readonly FilterInfo[] }>;
  /**
   * Puts a group on trial, or makes it active. `share`: 0-1. `principals`: only their calls; empty = all. Throws
   * FILTER_NOT_FOUND, FILTER_REFUSED.
   */
  promote(
    group: string,
    promotion: {
      readonly stage: 'shadow' | 'canary' | 'active';
      readonly share: number;
      readonly principals: readonly string[];
    },
  ): Promise<readonly FilterInfo[]>;
  /** Ends a group; gives the versions that are active again. Throws FILTER_NOT_FOUND. */
  rollback(group: string, reason: string): Promise<readonly FilterInfo[]>;
  /** Takes a filter out of new calls, or back in. Throws FILTER_NOT_FOUND, FILTER_REFUSED. */
  setDisabled(id: string, isDisabled: boolean): Promise<FilterInfo>;
  /**
   * Opens the active version with another configuration; undefined takes the server's again. Throws FILTER_NOT_FOUND,
   * FILTER_CONFIG_INVALID.
   */
  setConfig(id: string, config: unknown): Promise<FilterInfo>;
  /** What the filters did in a recently ended call; undefined when it is unknown or forgotten. */
  explain(callId: string): CallInfo | undefined;
  /** The versions (of one filter) as they are, then each whose stage, share or configuration changes. */
  watch(id: string | undefined, signal: AbortSignal): AsyncIterable<FilterInfo>;
}
