import { hash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Logger } from '../../server/core/log.ts';
import type { SharedRates } from '../../server/core/shared-rates.ts';
import { openConnection } from './connection.ts';

/**
 * The generic cell rate algorithm (ITU-T I.371, as in throttled and redis-cell): one number per key, the time at which
 * all calls granted so far would be due at the steady rate. Redis' own clock counts, so that servers whose clocks
 * differ agree; the key goes by itself when its caller has been away for long enough to have a full burst again. When
 * that clock is set back, or the burst made smaller, a caller owes a full burst at most.
 */
const takeCall = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local interval = tonumber(ARGV[1])
local due = tonumber(redis.call('GET', KEYS[1]) or now)
due = math.min(math.max(due, now), now + interval * ARGV[2])
local nextDue = due + interval
local waits = nextDue - interval * tonumber(ARGV[2]) - now
if waits > 0 then return math.ceil(waits) end
redis.call('SET', KEYS[1], string.format('%.3f', nextDue), 'PX', math.max(1, math.ceil(nextDue - now)))
return 0`;

const prefix = 'showrunner:rate:';
/** Keys are callers' names, which may be long: Redis would hold each for as long as its rate needs. */
const longestKey = 128;

interface RateCommands extends Redis {
  takeCall(key: string, intervalMs: number, burst: number): Promise<number>;
}

/** Rates in Redis on a connection of their own, which fails at once while Redis is away. */
export function createSharedRates(options: { readonly url: string; readonly log: Logger }): SharedRates & {
  close(): Promise<void>;
} {
  const redis = openConnection(options.url, 'producer', options.log) as RateCommands;
  redis.defineCommand('takeCall', { numberOfKeys: 1, lua: takeCall });
  return {
    take: (key, { ratePerSecond, burst }) => {
      const name = key.length <= longestKey ? key : hash('sha256', key);
      return redis.takeCall(`${prefix}${name}`, 1000 / ratePerSecond, burst);
    },
    close: async () => redis.disconnect(),
  };
}
