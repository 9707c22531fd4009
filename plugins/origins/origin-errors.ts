import { AppError, Code, OriginError } from '../engine/filter.ts';

// All of these say that nothing was sent: another origin, or another try, may be asked.

/** UNAVAILABLE: the cluster has no instance at all. */
export function noOriginKnown(cluster: string): OriginError {
  return new OriginError({
    code: Code.UNAVAILABLE,
    reason: 'ORIGIN_NONE_KNOWN',
    message: `cluster ${cluster} has no instances`,
    metadata: { cluster },
    isProcessed: false,
    pushbackMs: undefined,
  });
}

const originOverloadedReason = 'ORIGIN_OVERLOADED';
const ownBounds: ReadonlySet<string> = new Set([originOverloadedReason, 'ORIGINS_EXHAUSTED']);

/** True for what says nothing about the health of an origin: the bound is this server's own. */
export function isOwnBound(error: unknown): boolean {
  // Another proxy behind this one has the same reasons.
  const isTheirs = error instanceof OriginError && error.isProcessed;
  return error instanceof AppError && ownBounds.has(error.reason) && !isTheirs;
}

/** UNAVAILABLE: as many calls of the cluster are in progress as are allowed. */
export function originOverloaded(cluster: string, maxRequests: number): OriginError {
  return new OriginError({
    code: Code.UNAVAILABLE,
    reason: originOverloadedReason,
    message: `cluster ${cluster} has ${maxRequests} calls in progress, as many as are allowed`,
    metadata: { cluster, max_requests: String(maxRequests) },
    isProcessed: false,
    pushbackMs: undefined,
  });
}

/** FAILED_PRECONDITION: a filter names a cluster that the routing filter does not have. */
export function clusterUnknown(cluster: string): OriginError {
  return new OriginError({
    code: Code.FAILED_PRECONDITION,
    reason: 'ORIGIN_CLUSTER_UNKNOWN',
    message: `the routing filter has no cluster ${cluster}`,
    metadata: { cluster },
    isProcessed: false,
    pushbackMs: undefined,
  });
}
