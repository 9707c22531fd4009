import assert from 'node:assert/strict';
import { join } from 'node:path';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { readConfig } from '../../server/core/config/read-config.ts';
import type { Config } from '../../server/core/config/settings.ts';
import { silentLogger } from '../../server/core/log.ts';
import { runWorker } from '../../workers/main.ts';
import { startWorkerPool, type WorkerPool } from '../../workers/pool.ts';
import { type OpenedRedis, openRedis } from '../../workers/redis/private-redis.ts';
import { startChildScript } from '../support/child-script.ts';
import { isAlive } from '../support/processes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { redisCommand } from './fixtures/redis-command.ts';

describe('worker processes', () => {
  let temp: TempDir;
  let redis: OpenedRedis;
  let config: Config;
  let pool: WorkerPool | undefined;
  before(async () => {
    temp = await createTempDir();
    redis = await openRedis({ dir: join(temp.path, 'redis'), log: silentLogger });
    const settings = readConfig({ SHOWRUNNER_STATE_DIR: temp.path, SHOWRUNNER_LOG_LEVEL: 'error' });
    config = { ...settings, REDIS_URL: redis.url };
  });
  afterEach(() => pool?.close(5_000));
  after(async () => {
    await redis.close();
    await temp[Symbol.asyncDispose]();
  });

  /** Workers that listen for cancelled jobs: the last thing they do before they take jobs. */
  const listening = async () => {
    const [, count] = (await redisCommand(redis.url, 'pubsub', 'numsub', '{showrunner}:job-cancel')) as [
      string,
      number,
    ];
    return count;
  };

  it('are started, replaced when one dies, and ended', async () => {
    pool = startWorkerPool({ count: 2, config, log: silentLogger, env: process.env });
    await waitUntil('both take jobs', async () => (await listening()) === 2);
    const [first = 0, second = 0] = pool.pids();
    process.kill(first, 'SIGKILL');
    await waitUntil('it is replaced', () => pool?.pids().length === 2 && !pool.pids().includes(first));
    await waitUntil('both take jobs again', async () => (await listening()) === 2);
    assert.equal(pool.restarts(), 1);
    assert.ok(pool.pids().includes(second));
    const pids = pool.pids();
    await pool.close(10_000);
    assert.deepEqual(pids.filter(isAlive), []);
    assert.deepEqual(pool.pids(), []);
  });

  it('that do not end in time are killed', async () => {
    pool = startWorkerPool({ count: 1, config, log: silentLogger, env: process.env });
    const [pid = 0] = pool.pids();
    process.kill(pid, 'SIGSTOP');
    const startedAt = systemClock.monotonic();
    await pool.close(200);
    assert.ok(systemClock.monotonic() - startedAt < 3_000);
    assert.equal(isAlive(pid), false);
  });

  it('end when the server is killed with -9', async () => {
    await using state = await createTempDir();
    const server = startChildScript(new URL('fixtures/pool-owner.ts', import.meta.url), [state.path]);
    await waitUntil('it has workers', () => server.lines.length === 1);
    const pids = (server.lines[0] ?? '').split(' ').map(Number);
    assert.equal(pids.length, 2);
    await waitUntil('they take jobs', () => server.errors().split('worker takes jobs').length > 2);
    // Their standard error is the server's, so its pipe ends with the last of them.
    await server.kill();
    await waitUntil('they are gone', () => !pids.some(isAlive));
  });

  it('name the missing server when no Redis is to be found', async () => {
    await using empty = await createTempDir();
    const alone = runWorker(readConfig({ SHOWRUNNER_STATE_DIR: empty.path }), { env: process.env });
    await rejectsWith(alone, Code.FAILED_PRECONDITION, 'REDIS_OF_SERVER_MISSING');
  });
});
