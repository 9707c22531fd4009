import type { Call } from '../core/call.ts';
import type { Code } from '../core/codes.ts';

/** What the filter engine lets an operator do; server/app hands it in. */

export type FilterStageName = 'staged' | 'shadow' | 'canary' | 'active' | 'disabled' | 'rolled_back' | 'closed';
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
  readonly share: number;
  readonly explanation: string;
  /** Without secrets. */
  readonly config: unknown;
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
  readonly p50Ns: number | undefined;
  readonly p99Ns: number | undefined;
  readonly callsInFlight: number;
}

export interface FilterSourceInfo {
  readonly id: string;
  readonly source: string;
  readonly signature: Uint8Array | undefined;
  readonly config: unknown;
}

export interface FilterRunInfo {
  readonly id: string;
  readonly version: string;
  readonly type: FilterTypeName;
  readonly status: 'ran' | 'skipped' | 'failed' | 'timed_out' | 'short_circuited' | 'disabled';
  readonly detail: string;
  /** Time of its hooks, waits included. */
  readonly ns: number;
  /** The part of `ns` in which it waited. */
  readonly waitNs: number;
}

export interface CallInfo {
  readonly path: string;
  readonly startMs: number;
  readonly filters: readonly FilterRunInfo[];
  readonly code: Code;
  readonly snapshotVersion: number;
}

export type MethodInfo = Pick<Call, 'service' | 'method' | 'kind' | 'known' | 'requestType' | 'responseType'>;

export interface FilterAdmin {
  readonly snapshot: number;
  list(options: { readonly includePast: boolean; readonly method?: MethodInfo }): readonly FilterInfo[];
  get(id: string, version?: string): FilterInfo;
  stage(
    sources: readonly FilterSourceInfo[],
  ): Promise<{ readonly group: string; readonly filters: readonly FilterInfo[] }>;
  promote(
    group: string,
    promotion: {
      readonly stage: 'shadow' | 'canary' | 'active';
      readonly share: number;
      readonly principals: readonly string[];
    },
  ): Promise<readonly FilterInfo[]>;
  rollback(group: string, reason: string): Promise<readonly FilterInfo[]>;
  setDisabled(id: string, isDisabled: boolean): Promise<FilterInfo>;
  setConfig(id: string, config: unknown): Promise<FilterInfo>;
  explain(callId: string): CallInfo | undefined;
  watch(id: string | undefined, signal: AbortSignal): AsyncIterable<FilterInfo>;
}
