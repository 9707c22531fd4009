import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import {
  FailurePolicy,
  FilterRun_Status,
  type FilterRunSchema,
  type FilterSchema,
  FilterStage,
  FilterType,
} from '../../proto/gen/showrunner/filters/v1/filter_pb.ts';
import { toDuration, toTimestamp } from '../rpc/edge/wkt-time.ts';
import type { FilterInfo, FilterRunInfo, FilterStageName, FilterTypeName } from './filter-admin.ts';

const types: Readonly<Record<FilterTypeName, FilterType>> = {
  inbound: FilterType.INBOUND,
  endpoint: FilterType.ENDPOINT,
  outbound: FilterType.OUTBOUND,
  error: FilterType.ERROR,
};

const stages: Readonly<Record<FilterStageName, FilterStage>> = {
  staged: FilterStage.STAGED,
  shadow: FilterStage.SHADOW,
  canary: FilterStage.CANARY,
  active: FilterStage.ACTIVE,
  disabled: FilterStage.DISABLED,
  rolled_back: FilterStage.ROLLED_BACK,
  closed: FilterStage.CLOSED,
};

const statuses: Readonly<Record<FilterRunInfo['status'], FilterRun_Status>> = {
  ran: FilterRun_Status.RAN,
  skipped: FilterRun_Status.SKIPPED,
  disabled: FilterRun_Status.DISABLED,
  failed: FilterRun_Status.FAILED,
  timed_out: FilterRun_Status.TIMED_OUT,
  short_circuited: FilterRun_Status.SHORT_CIRCUITED,
};

const policies = {
  closed: FailurePolicy.CLOSED,
  open: FailurePolicy.OPEN,
  fallback: FailurePolicy.FALLBACK,
} as const;

function filterName(id: string, version: string): string {
  return `filters/${id}/versions/${version}`;
}

/** A version of a filter as callers see it. */
export function toFilterMessage(filter: FilterInfo): MessageInitShape<typeof FilterSchema> {
  const { id, version, type, order, category, stage, share, explanation, config, hash, counts } = filter;
  const { p50Ns, p99Ns } = filter;
  return {
    name: filterName(id, version),
    type: types[type],
    order: Math.trunc(order),
    category,
    failurePolicy: policies[filter.failurePolicy],
    timeout: toDuration(filter.timeoutMs),
    stage: stages[stage],
    ...(typeof config === 'object' && config !== null ? { config: config as JsonObject } : {}),
    sourceSha256: hash,
    loadTime: toTimestamp(Math.round(filter.loadedAtMs)),
    share,
    stats: {
      ran: BigInt(counts.ran),
      skipped: BigInt(counts.skipped),
      failed: BigInt(counts.failed + counts.overloaded),
      timedOut: BigInt(counts.timedOut),
      shortCircuited: BigInt(counts.answered + counts.refused),
      ...(p50Ns === undefined ? {} : { p50: toDuration(p50Ns / 1e6) }),
      ...(p99Ns === undefined ? {} : { p99: toDuration(p99Ns / 1e6) }),
      callsInFlight: BigInt(filter.callsInFlight),
    },
    explanation,
  };
}

/** One filter's part in a call as callers see it. */
export function toRunMessage(run: FilterRunInfo): MessageInitShape<typeof FilterRunSchema> {
  return {
    filter: filterName(run.id, run.version),
    type: types[run.type],
    status: statuses[run.status],
    detail: run.detail,
    duration: toDuration(run.ns / 1e6),
    ...(run.waitNs > 0 ? { wait: toDuration(run.waitNs / 1e6) } : {}),
  };
}
