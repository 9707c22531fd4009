import { type Clock, type Counters, deadlineOf } from '../../engine/filter.ts';
import type { OriginCall, OriginLayer, OriginReply, OriginRequest } from '../../origins/origin-call.ts';
import { WatchedReply } from '../../origins/watched-reply.ts';
import { createTee } from './tee.ts';

interface MirrorPlan {
  readonly cluster: string;
  /** Longest copy, in ms. */
  readonly timeoutMs: number;
  readonly maxBufferBytes: number;
  /** Takes a place for one copy; undefined when all are taken. */
  readonly enter: () => (() => void) | undefined;
  readonly counters: Counters<'sent' | 'failed' | 'dropped' | 'overrun'>;
  readonly clock: Clock;
}

/** Sends a copy of the call to another cluster and forgets it: neither its answer nor its failure reaches the caller. */
export function createMirrorLayer(plan: MirrorPlan): OriginLayer {
  return {
    place: 'mirror',
    wrap: (next, direct) => (request) => {
      const leave = plan.enter();
      if (leave === undefined) {
        plan.counters.add('dropped');
        return next(request);
      }
      const controller = new AbortController();
      const tee = createTee(request.requests, plan.maxBufferBytes, (why) => {
        if (why === 'overrun') plan.counters.add('overrun');
        controller.abort();
      });
      void sendCopy(direct, request, tee.copy, controller, plan).finally(leave);
      try {
        // A call that fails before its requests are read must not leave its copy waiting for them.
        return new WatchedReply(next({ ...request, requests: tee.main }), { first: () => {}, ended: tee.leave });
      } catch (error) {
        tee.leave();
        throw error;
      }
    },
  };
}

async function sendCopy(
  direct: OriginCall,
  request: OriginRequest,
  requests: AsyncIterable<Uint8Array>,
  controller: AbortController,
  { cluster, timeoutMs, counters, clock }: MirrorPlan,
): Promise<void> {
  const { call } = request.exchange;
  // The clock of the origin's deadline is the wall clock; this one also ends a copy whose requests stop coming.
  const cancelTimer = clock.schedule(timeoutMs, () => controller.abort());
  counters.add('sent');
  try {
    const reply: OriginReply = direct({
      ...{ exchange: request.exchange, cluster, path: request.path, requests, attempts: [], avoid: new Set<string>() },
      // A caller with little time left must not make the copy fail where the original did not.
      deadline: Math.max(deadlineOf(call), clock.now() + timeoutMs),
      ...{ signal: controller.signal, onHeaders: () => {}, onTrailers: () => {}, previousAttempts: 0, isHedge: false },
    });
    while (!(await reply.next()).done);
  } catch {
    // The caller has its own answer: the failure of a copy is only counted.
    counters.add('failed');
  } finally {
    cancelTimer();
  }
}
