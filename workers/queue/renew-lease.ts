import type { Redis } from 'ioredis';
import type { HeldLease } from './lease-keeper.ts';

/**
 * As BullMQ's extendLock: the lock must still be ours, and a renewed job is not stalled. One that has run out (Redis'
 * clock was set forward, or renewals were late) is taken again as long as nobody has taken the job from us.
 */
const script = `local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if not holder and not redis.call('LPOS', KEYS[3], ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SREM', KEYS[2], ARGV[3])
return 1`;

/** Makes a lease last `leaseMs` from now on; false when the job is another's by now, or nobody's. */
export async function renewLease(redis: Redis, lease: HeldLease, leaseMs: number): Promise<boolean> {
  const { lockKey, stalledKey, activeKey, token, jobId } = lease;
  return (await redis.eval(script, 3, lockKey, stalledKey, activeKey, token, leaseMs, jobId)) === 1;
}
