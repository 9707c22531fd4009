import { type Appliance, greatestLoad, type Heartbeat, type Load } from './appliance.ts';

/** `suspect` after 3 missed heartbeats of 10 s, `down` after 6; `draining` when its operator says so. */
export type ApplianceState = 'up' | 'suspect' | 'down' | 'draining';

const healthLimits = {
  heartbeatMs: 10_000,
  suspectAfterMissed: 3,
  downAfterMissed: 6,
  overloadedAbove: 0.9,
  recoveredBelow: 0.8,
  /** Share of new sessions right after an outage; doubles every minute. */
  probationShare: 0.1,
  probationDoublingMs: 60_000,
} as const;

/**
 * The state of an appliance. Pure. `watchingSinceMs` is when this service began to listen: silence before that proves
 * nothing. An origin needs no heartbeats, but one that ever sent some is judged by them.
 */
export function stateOf(
  appliance: Pick<Appliance, 'draining' | 'origin'>,
  heartbeat: Heartbeat | undefined,
  nowMs: number,
  watchingSinceMs: number,
): ApplianceState {
  if (appliance.draining) return 'draining';
  if (heartbeat === undefined) return appliance.origin ? 'up' : 'down';
  const missed = missedHeartbeats(heartbeat, nowMs, watchingSinceMs);
  if (missed >= healthLimits.downAfterMissed) return 'down';
  return missed >= healthLimits.suspectAfterMissed ? 'suspect' : 'up';
}

function missedHeartbeats({ atMs }: Heartbeat, nowMs: number, watchingSinceMs: number): number {
  return Math.floor((nowMs - Math.max(atMs, watchingSinceMs)) / healthLimits.heartbeatMs);
}

/** The heartbeat to remember after one arrived. Pure. */
export function nextHeartbeat(
  last: Heartbeat | undefined,
  arrived: { readonly bootId: string; readonly sequence: bigint; readonly load: Load },
  nowMs: number,
): Heartbeat {
  const isNewBoot = last !== undefined && last.bootId !== arrived.bootId;
  const downMs = healthLimits.downAfterMissed * healthLimits.heartbeatMs;
  const wasDown = last !== undefined && nowMs - last.atMs >= downMs;
  const load = greatestLoad(arrived.load);
  const isOverloaded =
    load > healthLimits.overloadedAbove || (load >= healthLimits.recoveredBelow && last?.isOverloaded === true);
  return {
    ...arrived,
    previousBootId: isNewBoot ? last.bootId : (last?.previousBootId ?? ''),
    atMs: nowMs,
    // A first heartbeat ever starts at the full share: there is no outage to be careful about.
    upSinceMs: last === undefined ? 0 : wasDown ? nowMs : last.upSinceMs,
    isOverloaded,
  };
}

/** Share of its weight that an appliance gets, 0 to 1: little after an outage, doubling each minute. Pure. */
export function probationShare(heartbeat: Heartbeat | undefined, nowMs: number): number {
  if (heartbeat === undefined) return 1;
  const { probationShare: first, probationDoublingMs } = healthLimits;
  const doublings = Math.floor(Math.max(0, nowMs - heartbeat.upSinceMs) / probationDoublingMs);
  return doublings >= 4 ? 1 : Math.min(1, first * 2 ** doublings);
}
