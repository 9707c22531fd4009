import { connect } from 'node:net';
import type { RedisAddress } from './redis-address.ts';

/** `loading`: it listens but does not take commands yet. `absent`: nobody that speaks Redis. */
export type RedisHealth = 'ready' | 'loading' | 'absent';

/**
 * Asks the Redis at the address by PING; no answer within `timeoutMs` counts as `loading`.
 * Speaks the inline protocol, so that no client library is needed.
 */
export function pingRedis({ socketPath }: RedisAddress, timeoutMs = 500): Promise<RedisHealth> {
  const { promise, resolve } = Promise.withResolvers<RedisHealth>();
  const socket = connect({ path: socketPath });
  let answer = '';
  const settle = (health: RedisHealth) => {
    socket.destroy();
    resolve(health);
  };
  socket.setTimeout(timeoutMs, () => settle('loading'));
  socket.on('error', () => settle('absent'));
  socket.on('close', () => resolve('absent'));
  socket.on('connect', () => socket.write('PING\r\n'));
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1');
    if (answer.includes('+PONG\r\n')) settle('ready');
    else if (answer.includes('-LOADING')) settle('loading');
    else if (/^(?![+-])|^-ERR/.test(answer) || answer.length > 1024) settle('absent');
  });
  return promise;
}
