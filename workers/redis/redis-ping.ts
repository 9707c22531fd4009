import { connect } from 'node:net';

/** Where a private Redis listens. */
export type RedisAddress = { readonly socketPath: string } | { readonly port: number; readonly password: string };

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
    if (answer.includes('+PONG\r\n')) settle('ready');
    else if (answer.includes('-LOADING')) settle('loading');
    else if (answer.includes('-WRONGPASS') || answer.length > 1024) settle('absent');
  });
  return promise;
}
