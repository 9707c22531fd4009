import type { Redis } from 'ioredis';
import type { Clock } from '../../server/core/clock.ts';
import { type AppError, messageOf } from '../../server/core/errors.ts';
import type { Logger } from '../../server/core/log.ts';
import { redisInUse } from './queue-errors.ts';

/** Whom a Redis belongs to. */
export interface RedisOwner {
  /** Id of the state folder. */
  readonly id: string;
  /** Where that is, e.g. `host:/var/lib/showrunner`: a copy of the folder, which has its id, lies elsewhere. */
  readonly place: string;
}

/** The claim of one server on its Redis. */
export interface RedisClaim {
  /** Claims it, or says again that the server lives. Rejects while Redis is away. */
  renew(): Promise<void>;
  /** Why it is not ours, REDIS_IN_USE; undefined while it is, or when that is not known yet. */
  refusal(): AppError | undefined;
  /** Throws the refusal; first waits for the server of a copy of our folder that may have been killed just now. */
  confirm(signal: AbortSignal): Promise<void>;
  /** Lets a moved state folder claim it at once. */
  close(): Promise<void>;
}

const defaultGoneMs = 10_000;

/** KEYS: the claim. ARGV: id, place, `goneMs`, of a worker 0. Gives whether it is ours, and else whose. */
const claimScript = `
local owner = redis.call('HMGET', KEYS[1], 'id', 'place', 'sign')
if owner[1] and owner[1] ~= ARGV[1] then return {'other', owner[2] or ''} end
if ARGV[3] == '0' then
  redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
  redis.call('HSETNX', KEYS[1], 'place', ARGV[2])
  return {'ours', ''}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lives = owner[3] and math.abs(now - tonumber(owner[3])) < tonumber(ARGV[3])
if lives and owner[2] ~= ARGV[2] then return {'copy', owner[2]} end
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'place', ARGV[2], 'sign', now)
return {'ours', ''}`;

async function claim(redis: Redis, key: string, { id, place }: RedisOwner, goneMs: number) {
  const [whose, where = ''] = (await redis.eval(claimScript, 1, key, id, place, goneMs)) as string[];
  const isCopy = whose === 'copy';
  return { isCopy, refusal: whose === 'ours' ? undefined : redisInUse(where, key, isCopy) };
}

/**
 * Keeps two servers from sharing a Redis, who would take each other's jobs: it belongs to the state folder that claimed
 * it first, and of copies of that folder to the one whose server lives.
 */
export function createRedisClaim(deps: {
  readonly redis: Redis;
  readonly key: string;
  readonly owner: RedisOwner;
  readonly clock: Clock;
  readonly log: Logger;
  /** A server that has not said for this long that it lives, by Redis' own clock, is gone, in ms. Default 10,000. */
  readonly goneMs?: number;
}): RedisClaim {
  const { redis, key, owner, clock, log, goneMs = defaultGoneMs } = deps;
  let state: Awaited<ReturnType<typeof claim>> | undefined;
  let isConfirmed = false;
  let cancelNext = () => {};
  let closed = false;
  const renew = async () => {
    cancelNext();
    try {
      const now = await claim(redis, key, owner, goneMs);
      // At a start the refusal is thrown.
      if (isConfirmed && now.refusal !== undefined && state?.refusal === undefined) {
        log.error('redis is not used', { error: now.refusal.message });
      }
      state = now;
    } finally {
      if (!closed) {
        cancelNext = clock.schedule(goneMs / 3, () => {
          renew().catch((error: unknown) => log.debug('redis could not be claimed', { error: messageOf(error) }));
        });
      }
    }
  };
  return {
    renew,
    refusal: () => state?.refusal,
    confirm: async (signal) => {
      const deadlineMs = clock.monotonic() + goneMs * 1.1;
      while (state?.isCopy && clock.monotonic() < deadlineMs) {
        await clock.sleep(goneMs / 20, signal);
        await renew();
      }
      isConfirmed = true;
      if (state?.refusal !== undefined) throw state.refusal;
    },
    close: async () => {
      closed = true;
      cancelNext();
      if (state !== undefined && state.refusal === undefined && redis.status === 'ready')
        await redis.hdel(key, 'sign').catch(() => {});
    },
  };
}

/** Throws REDIS_IN_USE when the Redis belongs to another state folder; one that is nobody's is claimed for this one. */
export async function checkRedisOwner(redis: Redis, key: string, owner: RedisOwner): Promise<void> {
  const { refusal } = await claim(redis, key, owner, 0);
  if (refusal !== undefined) throw refusal;
}
