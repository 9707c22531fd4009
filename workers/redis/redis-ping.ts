import { connect } from 'node:net';
import type { RedisAddress } from './redis-address.ts';

/** `loading`: it listens but does not take commands yet. `absent`: nobody that speaks Redis with our password. */
export type RedisHealth = 'ready' | 'loading' | 'absent';

/**
 * Asks the Redis at the address by PING; no answer within `timeoutMs` counts as `loading`.
 * Speaks the inline protocol, so that no client library is needed.
 */
export function pingRedis(address: RedisAddress, timeoutMs = 500): Promise<RedisHealth> {
  const { promise, resolve } = Promise.withResolvers<RedisHealth>();
  const socket =
    'socketPath' in address
      ? connect({ path: address.socketPath })
      : connect({ host: '127.0.0.1', port: address.port });
  // One without a password answers PING whatever came before: only the OK to ours shows that it is ours.
  const ready = 'port' in address ? '+OK\r\n+PONG\r\n' : '+PONG\r\n';
  let answer = '';
  const settle = (health: RedisHealth) => {
    socket.destroy();
    resolve(health);
  };
  socket.setTimeout(timeoutMs, () => settle('loading'));
  socket.on('error', () => settle('absent'));
  socket.on('close', () => resolve('absent'));
  socket.on('connect', () => socket.write('port' in address ? `AUTH ${address.password}\r\nPING\r\n` : 'PING\r\n'));
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1');
    if (answer.includes(ready)) settle('ready');
    else if (answer.includes('-LOADING')) settle('loading');
    else if (/^(?![+-])|^-(ERR|WRONGPASS)/.test(answer) || answer.length > 1024) settle('absent');
  });
  return promise;
}
