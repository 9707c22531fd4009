import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import {
  type JobLimitsSchema,
  type RetryLimitSchema,
  RunStrategy_Kind,
  type RunStrategySchema,
} from '../../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import type { JobLimits, RetryLimit } from '../../../workers/queue/job-limits.ts';
import type { FailureClass } from '../../../workers/queue/job-outcome.ts';
import { invalidField } from '../../core/errors.ts';
import { readDuration, toDuration } from '../../rpc/edge/wkt-time.ts';
import type { RunStrategy } from '../gate/run-strategy.ts';

const maxRetries = 100;
const maxBackoffMs = 86_400_000;
const maxTimeoutMs = 30 * 86_400_000;
const defaultBackoffMs = 500;
const defaultMaxBackoffMs = 30_000;

/** Field of the contract for each class. */
const retryFields = { user: 'user', platform: 'platform', timeout: 'timeouts', killed: 'killed' } as const;

/** Limits of a message; undefined when it sets none. Throws INVALID_FIELDS below `field`. */
export function readLimits(
  limits: MessageShape<typeof JobLimitsSchema> | undefined,
  field: string,
): JobLimits | undefined {
  if (limits === undefined) return undefined;
  const timeoutMs = readDuration(`${field}.timeout`, limits.timeout);
  if (timeoutMs !== undefined && (timeoutMs < 1 || timeoutMs > maxTimeoutMs)) {
    throw invalidField(`${field}.timeout`, 'must be 1 ms to 30 days');
  }
  const retries = Object.entries(retryFields).flatMap(([name, key]) => {
    const limit = readRetries(limits[key], `${field}.${key}`);
    return limit === undefined ? [] : [[name as FailureClass, limit] as const];
  });
  if (timeoutMs === undefined && retries.length === 0) return undefined;
  return {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(retries.length === 0 ? {} : { retries: Object.fromEntries(retries) }),
  };
}

function readRetries(limit: MessageShape<typeof RetryLimitSchema> | undefined, field: string): RetryLimit | undefined {
  if (limit === undefined) return undefined;
  if (limit.maxRetries < 0 || limit.maxRetries > maxRetries) {
    throw invalidField(`${field}.max_retries`, `must be 0 to ${maxRetries}, got ${limit.maxRetries}`);
  }
  const backoffMs = readDuration(`${field}.backoff`, limit.backoff) ?? defaultBackoffMs;
  const most = readDuration(`${field}.max_backoff`, limit.maxBackoff) ?? Math.max(backoffMs, defaultMaxBackoffMs);
  if (backoffMs < 0 || backoffMs > maxBackoffMs) throw invalidField(`${field}.backoff`, 'must be 0 to a day');
  if (most < backoffMs || most > maxBackoffMs) {
    throw invalidField(`${field}.max_backoff`, 'must be at least backoff and at most a day');
  }
  return { maxRetries: limit.maxRetries, backoffMs, maxBackoffMs: most };
}

/** Limits as callers see them; what is not set stays absent. */
export function toLimitsMessage({ timeoutMs, retries = {} }: JobLimits): MessageInitShape<typeof JobLimitsSchema> {
  const classes = Object.entries(retryFields).flatMap(([name, key]) => {
    const limit = retries[name as FailureClass];
    if (limit === undefined) return [];
    const { maxRetries, backoffMs, maxBackoffMs } = limit;
    return [[key, { maxRetries, backoff: toDuration(backoffMs), maxBackoff: toDuration(maxBackoffMs) }]];
  });
  return {
    ...(timeoutMs === undefined ? {} : { timeout: toDuration(timeoutMs) }),
    ...Object.fromEntries(classes),
  };
}

const strategyKinds: Readonly<Record<RunStrategy['kind'], RunStrategy_Kind>> = {
  unlimited: RunStrategy_Kind.UNSPECIFIED,
  sequential: RunStrategy_Kind.SEQUENTIAL,
  strict_sequential: RunStrategy_Kind.STRICT_SEQUENTIAL,
  first_only: RunStrategy_Kind.FIRST_ONLY,
  last_only: RunStrategy_Kind.LAST_ONLY,
  serial_latest_only: RunStrategy_Kind.SERIAL_LATEST_ONLY,
  parallel: RunStrategy_Kind.PARALLEL,
};
const defaultParallel = 20;
const maxParallel = 1_000;

/** Strategy of a message; undefined for none. Throws INVALID_FIELDS below `field`. */
export function readStrategy(
  strategy: MessageShape<typeof RunStrategySchema> | undefined,
  field: string,
): RunStrategy | undefined {
  if (strategy === undefined) return undefined;
  const kind = (Object.keys(strategyKinds) as RunStrategy['kind'][]).find(
    (name) => strategyKinds[name] === strategy.kind,
  );
  if (kind === undefined) throw invalidField(`${field}.kind`, 'must be a kind of strategy');
  if (kind !== 'parallel') {
    if (strategy.maxParallel !== 0) throw invalidField(`${field}.max_parallel`, 'must be 0 unless KIND_PARALLEL');
    return kind === 'unlimited' ? undefined : { kind };
  }
  const parallel = strategy.maxParallel === 0 ? defaultParallel : strategy.maxParallel;
  if (parallel < 1 || parallel > maxParallel)
    throw invalidField(`${field}.max_parallel`, `must be 1 to ${maxParallel}`);
  return { kind, maxParallel: parallel };
}

/** A strategy as callers see it. */
export function toStrategyMessage({
  kind,
  maxParallel: parallel,
}: RunStrategy): MessageInitShape<typeof RunStrategySchema> {
  return { kind: strategyKinds[kind], maxParallel: parallel ?? 0 };
}
