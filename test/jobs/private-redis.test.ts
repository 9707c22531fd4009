import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { findPrivateRedis, openRedis } from '../../workers/redis/private-redis.ts';
import { startChildScript } from '../support/child-script.ts';
import { isAlive } from '../support/processes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { redisCommand } from './fixtures/redis-command.ts';

describe('the private Redis', () => {
  const owner = new URL('fixtures/redis-owner.ts', import.meta.url);
  it('ends when its owner is killed with -9, and the next owner finds the data', async () => {
    await using temp = await createTempDir();
    const first = startChildScript(owner, [temp.path]);
    await waitUntil('it is ready', () => first.lines.length === 1);
    const [pid = '', url = ''] = first.lines[0]?.split(' ') ?? [];
    await redisCommand(url, 'set', 'kept', 'yes');
    await first.kill();
    // At once: the next owner waits for the former Redis to end.
    const next = await openRedis({ dir: temp.path, log: silentLogger });
    try {
      await waitUntil('the former Redis is gone', () => !isAlive(Number(pid)));
      assert.equal(await redisCommand(next.url, 'get', 'kept'), 'yes');
    } finally {
      await next.close();
    }
  });

  it('never evicts and writes its data each second', async () => {
    await using temp = await createTempDir();
    const redis = await openRedis({ dir: temp.path, log: silentLogger });
    try {
      const setting = async (name: string) => ((await redisCommand(redis.url, 'config', 'get', name)) as string[])[1];
      assert.equal(await setting('maxmemory-policy'), 'noeviction');
      assert.equal(await setting('appendfsync'), 'everysec');
      assert.equal(await setting('appendonly'), 'yes');
      assert.equal(await setting('save'), '');
    } finally {
      await redis.close();
    }
    assert.equal(redis.pid() === undefined || !isAlive(redis.pid() ?? 0), true);
  });

  it('comes back on the same data when it is killed itself', async () => {
    await using temp = await createTempDir();
    const redis = await openRedis({ dir: temp.path, log: silentLogger });
    try {
      await redisCommand(redis.url, 'set', 'kept', 'yes');
      const pid = redis.pid() ?? 0;
      process.kill(pid, 'SIGKILL');
      const answer = () => redisCommand(redis.url, 'get', 'kept').catch(() => undefined);
      await waitUntil('it answers again', async () => redis.pid() !== pid && (await answer()) === 'yes');
    } finally {
      await redis.close();
    }
  });

  it('listens in a folder of its own when the folder of its data is too deep for a socket', async () => {
    await using temp = await createTempDir();
    const dir = join(temp.path, 'deep'.repeat(40));
    const redis = await openRedis({ dir, log: silentLogger });
    try {
      const folder = dirname(redis.url.slice('unix:'.length));
      assert.ok(!folder.startsWith(temp.path));
      assert.equal(statSync(folder).mode & 0o777, 0o700);
      assert.equal(await redisCommand(redis.url, 'ping'), 'PONG');
      assert.equal(await findPrivateRedis(dir), redis.url);
      await redis.close();
      assert.equal(existsSync(folder), false);
    } finally {
      await redis.close();
    }
  });

  it('leaves no socket of a former owner that was killed with -9', async () => {
    await using temp = await createTempDir();
    const dir = join(temp.path, 'deep'.repeat(40));
    const owned = startChildScript(owner, [dir]);
    await waitUntil('it is ready', () => owned.lines.length === 1);
    const socket = owned.lines[0]?.split(' unix:')[1] ?? '';
    assert.ok(existsSync(socket));
    await owned.kill();
    const next = await openRedis({ dir, log: silentLogger });
    try {
      assert.equal(existsSync(dirname(socket)), false);
      assert.equal(await redisCommand(next.url, 'ping'), 'PONG');
    } finally {
      await next.close();
    }
  });

  it('does not take for a Redis what speaks otherwise', async () => {
    await using temp = await createTempDir();
    const socketPath = join(temp.path, 'other.sock');
    const other = createServer((socket) => socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n')));
    await once(other.listen(socketPath), 'listening');
    writeFileSync(join(temp.path, 'address.json'), JSON.stringify({ socketPath }));
    assert.equal(await findPrivateRedis(temp.path), undefined);
    other.close();
  });

  it('starts where a crash or a full disk left half of its address', async () => {
    await using temp = await createTempDir();
    for (const half of ['', '{"socketPath":"/tm', '7', '{"socketPath":7}']) {
      writeFileSync(join(temp.path, 'address.json'), half);
      assert.equal(await findPrivateRedis(temp.path), undefined);
    }
    const redis = await openRedis({ dir: temp.path, log: silentLogger });
    try {
      assert.equal(await findPrivateRedis(temp.path), redis.url);
    } finally {
      await redis.close();
    }
  });

  it('refuses a folder that another server owns', async () => {
    await using temp = await createTempDir();
    const redis = await openRedis({ dir: temp.path, log: silentLogger });
    try {
      const second = openRedis({ dir: temp.path, log: silentLogger, takeoverTimeoutMs: 200 });
      await rejectsWith(second, Code.FAILED_PRECONDITION, 'REDIS_DIR_IN_USE');
      assert.equal(await redisCommand(redis.url, 'ping'), 'PONG');
    } finally {
      await redis.close();
    }
  });

  it('is named in a clear error when it is not installed', async () => {
    await using temp = await createTempDir();
    const missing = openRedis({ dir: temp.path, path: '/nonexistent', log: silentLogger });
    const error = await rejectsWith(missing, Code.FAILED_PRECONDITION, 'REDIS_MISSING');
    assert.match(error.message, /apt-get install redis-server/);
  });

  it('is left out when a URL is given', async () => {
    const redis = await openRedis({ url: 'redis://127.0.0.1:1', dir: '/nonexistent', log: silentLogger });
    assert.equal(redis.url, 'redis://127.0.0.1:1');
    assert.equal(redis.pid(), undefined);
    await redis.close();
  });
});
