import type { Redis } from 'ioredis';
import type { QueueKeys } from './queue-keys.ts';

/** A worker process that gave no sign for this long counts as gone, in ms. */
const goneMs = 10_000;
/** How long a job is offered at least before it counts that nobody can do it: workers start one after another, in ms. */
const offeredMs = 3_000;
/** How long it is remembered who cannot do a job, in seconds; renewed whenever somebody says so. */
const unfitTtlSeconds = 3_600;

/**
 * By Redis' own clock, as the workers' may differ. A sign that is ahead of it comes from before that was set back.
 * KEYS: workers by class. ARGV: worker.
 */
const beatScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, now, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - ${goneMs})
  redis.call('ZREMRANGEBYSCORE', key, now + ${goneMs}, '+inf')
  redis.call('PEXPIRE', key, ${goneMs})
end`;

/**
 * KEYS[1]: who cannot do the job, KEYS[2]: workers of its class. ARGV: worker. Gives how often it was said, and 1 where a
 * worker of the class has not said so or may only be about to start, else 0.
 */
const declineScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'w' .. ARGV[1], 1)
local times = redis.call('HINCRBY', KEYS[1], 'times', 1)
redis.call('HSETNX', KEYS[1], 'since', now)
redis.call('EXPIRE', KEYS[1], ${unfitTtlSeconds})
if math.abs(now - redis.call('HGET', KEYS[1], 'since')) < ${offeredMs} then return {times, 1} end
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], now - ${goneMs}, now + ${goneMs})) do
  if redis.call('HEXISTS', KEYS[1], 'w' .. worker) == 0 then return {times, 1} end
end
return {times, 0}`;

/** Which worker processes take jobs of which queue class, and what they cannot do. */
export interface WorkerRegister {
  /** Says that this worker takes jobs of these classes; to be said again every few seconds. */
  beat(worker: string, queueClasses: readonly string[]): Promise<void>;
  /** This worker takes no more. */
  leave(worker: string, queueClasses: readonly string[]): Promise<void>;
  /** This worker cannot do the job. Gives how often that was said of it, and whether there may be workers that can. */
  decline(worker: string, jobId: string, queueClass: string): Promise<{ times: number; others: boolean }>;
  /** Those of the classes that no worker takes jobs of. */
  unserved(queueClasses: readonly string[]): Promise<string[]>;
}

/**
 * A worker without a sign for 10 s counts as gone. `decline` says for the first 3 s of a job that there may be others,
 * as workers start one after another.
 */
export function createWorkerRegister(redis: Redis, keys: QueueKeys): WorkerRegister {
  const keysOf = (queueClasses: readonly string[]) => queueClasses.map((queueClass) => keys.workers(queueClass));
  return {
    beat: async (worker, queueClasses) => {
      if (queueClasses.length > 0) await redis.eval(beatScript, queueClasses.length, ...keysOf(queueClasses), worker);
    },
    leave: async (worker, queueClasses) => {
      for (const key of keysOf(queueClasses)) await redis.zrem(key, worker);
    },
    decline: async (worker, jobId, queueClass) => {
      const reply = await redis.eval(declineScript, 2, keys.unfit(jobId), keys.workers(queueClass), worker);
      const [times = 1, others = 0] = reply as number[];
      return { times, others: others === 1 };
    },
    unserved: async (queueClasses) => {
      // A class whose workers are gone has no set any more: sets expire with the last sign.
      const counts = await Promise.all(keysOf(queueClasses).map((key) => redis.zcard(key)));
      return queueClasses.filter((_, index) => counts[index] === 0);
    },
  };
}
