import { Redis } from 'ioredis';
import type { Logger } from '../../server/core/log.ts';
import { systemRandom } from '../../server/core/random.ts';

/**
 * How a client behaves while Redis is away.
 * `producer` fails at once (the caller has a record to retry from); `worker` waits for its return, so that
 * a finished job is never dropped, and may block on the server.
 */
export type ConnectionRole = 'producer' | 'worker';

const producerCommandTimeoutMs = 5_000;

/** Options of ioredis for a redis:, rediss: or unix: URL. Reconnects within a second of Redis' return. */
export function redisOptions(url: string, role: ConnectionRole) {
  return {
    ...addressOf(url),
    replyMapping: 'legacy' as const,
    retryStrategy: (times: number) => Math.min(25 * 2 ** Math.min(times, 6), 1000) * (0.75 + systemRandom.next() / 4),
    maxRetriesPerRequest: role === 'producer' ? 0 : null,
    ...(role === 'producer' ? { enableOfflineQueue: false, commandTimeout: producerCommandTimeoutMs } : {}),
  };
}

/** A connected client that logs an outage once, and its end once. Never throws while Redis is away. */
export function openConnection(url: string, role: ConnectionRole, log: Logger): Redis {
  const redis = new Redis(redisOptions(url, role));
  logOutages(redis, log.child({ redis_role: role }));
  return redis;
}

/** Gives the emitter the error listener it must have; connection errors are told once per outage. */
function logOutages(redis: Redis, log: Logger): void {
  let away = false;
  redis.on('error', (error: Error) => {
    if (!away) log.warn('redis connection lost', { error: error.message });
    away = true;
  });
  redis.on('ready', () => {
    if (away) log.info('redis connection restored');
    away = false;
  });
}

function addressOf(url: string) {
  if (url.startsWith('unix:')) return { path: url.slice('unix:'.length).replace(/^\/\/(?=\/)/, '') };
  const parsed = new URL(url);
  const db = Number(parsed.pathname.slice(1) || '0');
  return {
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    port: Number(parsed.port || '6379'),
    db,
    ...(parsed.username === '' ? {} : { username: decodeURIComponent(parsed.username) }),
    ...(parsed.password === '' ? {} : { password: decodeURIComponent(parsed.password) }),
    ...(parsed.protocol === 'rediss:' ? { tls: {} } : {}),
  };
}
