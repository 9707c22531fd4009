import { AppError, type Clock, Code, type Counters } from '../../engine/filter.ts';
import { codeOf, isFault, isUnprocessed } from '../../origins/call-codes.ts';
import type { OriginCall, OriginLayer, OriginReply, OriginRequest } from '../../origins/origin-call.ts';
import { leaveReply } from '../../origins/origin-call.ts';
import { isOwnBound } from '../../origins/origin-errors.ts';
import { createReplay } from '../../origins/replay.ts';
import type { RegionSwitch } from './region-switch.ts';

/** Regions that stand in for each other, in order of preference. */
export interface RegionGroup {
  readonly regions: readonly { readonly name: string; readonly cluster: string }[];
  readonly choice: RegionSwitch;
  /** A call that ran out of time sooner says nothing about its region, ms. */
  readonly minTimeoutMs: number;
}

interface FailoverPlan {
  /** By the cluster that rules of the routing filter name. */
  readonly groups: ReadonlyMap<string, RegionGroup>;
  readonly maxReplayBytes: number;
  readonly counters: Counters<'away' | 'moved' | 'isolated'>;
  readonly clock: Clock;
}

/** Sends each call of a group to the region that is well; one that did nothing in a region moves on to the next. */
export function createFailoverLayer(plan: FailoverPlan): OriginLayer {
  return {
    place: 'failover',
    wrap: (next) => (request) => {
      const group = request.cluster === undefined ? undefined : plan.groups.get(request.cluster);
      return group === undefined ? next(request) : throughRegions(next, request, group, plan);
    },
  };
}

function allIsolated(cluster: string): AppError {
  return new AppError({
    code: Code.UNAVAILABLE,
    reason: 'REGIONS_ISOLATED',
    message: `every region of ${cluster} is isolated by its operators or has failed this call`,
    metadata: { cluster },
  });
}

/** False for what says nothing about the region: a caller that left or was in a hurry, and our own bound on a cluster. */
function isTelling(error: unknown, { signal }: OriginRequest, hadTime: boolean): boolean {
  if (isOwnBound(error)) return false;
  const code = signal.aborted ? codeOf(signal.reason) : codeOf(error);
  return code === Code.DEADLINE_EXCEEDED ? hadTime : !signal.aborted;
}

async function* throughRegions(
  next: OriginCall,
  request: OriginRequest,
  { regions, choice, minTimeoutMs }: RegionGroup,
  plan: FailoverPlan,
): AsyncGenerator<Uint8Array, undefined> {
  const replay = createReplay(request.requests, plan.maxReplayBytes);
  const failedHere = new Set<number>();
  let failure: unknown = allIsolated(request.cluster ?? '');
  for (;;) {
    const index = choice.choose(failedHere);
    const region = index === undefined ? undefined : regions[index];
    if (index === undefined || region === undefined) {
      if (failedHere.size === 0) plan.counters.add('isolated');
      throw failure;
    }
    if (index > 0) plan.counters.add('away');
    let reply: OriginReply | undefined;
    let isAnswering = false;
    const startedAt = plan.clock.monotonic();
    try {
      reply = next({ ...request, cluster: region.cluster, requests: replay.open(), avoid: new Set() });
      for (let result = await reply.next(); !result.done; result = await reply.next()) {
        isAnswering = true;
        replay.commit();
        yield result.value;
      }
      choice.record(index, true);
      return undefined;
    } catch (error) {
      if (isTelling(error, request, plan.clock.monotonic() - startedAt >= minTimeoutMs)) {
        choice.record(index, !isFault(codeOf(error)));
      }
      if (request.signal.aborted) throw error;
      if (isAnswering || !isUnprocessed(error) || !replay.isReplayable) throw error;
      failure = error;
      failedHere.add(index);
      plan.counters.add('moved');
    } finally {
      if (reply !== undefined) await leaveReply(reply);
    }
  }
}
