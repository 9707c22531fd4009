import assert from 'node:assert/strict';
import { systemClock } from '../../server/core/clock.ts';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { openConnection } from '../../workers/queue/connection.ts';
import { createJobQueue, type JobQueue } from '../../workers/queue/job-queue.ts';
import { queueKeys } from '../../workers/queue/queue-keys.ts';
import { createRedisClaim } from '../../workers/queue/redis-claim.ts';
import { createWorkerRunner } from '../../workers/queue/worker-runner.ts';
import { type OpenedRedis, openRedis } from '../../workers/redis/private-redis.ts';
import { findFreePort } from '../support/free-port.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { testKinds } from './fixtures/kinds.ts';
import { redisCommand } from './fixtures/redis-command.ts';

describe('a Redis that servers share', () => {
  let temp: TempDir;
  let redis: OpenedRedis;
  let prefix = '';
  let count = 0;
  const open: JobQueue[] = [];
  const ann = { id: 'ann', place: 'host:/ann' };
  const ben = { id: 'ben', place: 'host:/ben' };
  before(async () => {
    temp = await createTempDir();
    redis = await openRedis({ dir: temp.path, log: silentLogger });
  });
  beforeEach(() => {
    prefix = `{claim-${count++}}`;
  });
  afterEach(async () => {
    for (const queue of open.splice(0)) await queue.close();
  });
  after(async () => {
    await redis.close();
    await temp[Symbol.asyncDispose]();
  });

  const job = { jobId: 'one', kind: 'noop', queueClass: 'work', params: {}, priority: 0 };
  const server = (owner: typeof ann, url = redis.url) => {
    const queue = createJobQueue({ url, prefix, owner, clock: systemClock, log: silentLogger });
    open.push(queue);
    return queue;
  };
  const worker = (owner: typeof ann) =>
    createWorkerRunner({
      ...{ url: redis.url, prefix, owner, kinds: testKinds, slots: { work: 1 }, workDir: temp.path },
      log: silentLogger,
    });

  it('belongs to the state folder that came first, also when no server of it lives', async () => {
    await server(ann).ready(20_000);
    await open.pop()?.close();
    const other = server(ben);
    const error = await rejectsWith(other.ready(20_000), Code.FAILED_PRECONDITION, 'REDIS_IN_USE');
    assert.match(error.message, /SHOWRUNNER_REDIS_URL.* host:\/ann.*redis:\/\/host\/1.*delete the key/);
    await rejectsWith(other.enqueue(job), Code.UNAVAILABLE, 'QUEUE_UNAVAILABLE');
    await rejectsWith(worker(ben), Code.FAILED_PRECONDITION, 'REDIS_IN_USE');
    const again = server(ann);
    await again.ready(20_000);
    await again.enqueue(job);
    await redisCommand(redis.url, 'del', queueKeys(prefix).owner);
    await server(ben).ready(20_000);
  });

  it('has one server of copies of a state folder, moves with the folder, and is claimed again after a loss', async () => {
    const key = queueKeys(prefix).owner;
    const connection = openConnection(redis.url, 'worker', silentLogger);
    const claimOf = (owner: typeof ann) =>
      createRedisClaim({ redis: connection, key, owner, clock: systemClock, log: silentLogger, goneMs: 1_500 });
    const claims = [claimOf(ann), claimOf({ ...ann, place: 'host:/copy' })] as const;
    const [first, copy] = claims;
    const signal = AbortSignal.timeout(60_000);
    try {
      await first.renew();
      await first.confirm(signal);
      await copy.renew();
      // It waits for one that is gone; this one says that it lives.
      const refused = await rejectsWith(copy.confirm(signal), Code.FAILED_PRECONDITION, 'REDIS_IN_USE');
      assert.match(refused.message, /copies of each other/);
      await connection.del(key);
      await waitUntil('it is claimed again', async () => (await connection.hget(key, 'id')) === ann.id);
      await first.close();
      await copy.confirm(signal);
      assert.equal(await connection.hget(key, 'place'), 'host:/copy');
    } finally {
      for (const claim of claims) await claim.close();
      connection.disconnect();
    }
  });

  it('belongs to the worker’s folder where that came first', async () => {
    await (await worker(ann)).close(0);
    await rejectsWith(server(ben).ready(20_000), Code.FAILED_PRECONDITION, 'REDIS_IN_USE');
    await server(ann).ready(20_000);
  });

  it('does not keep a server from its start while it is away', async () => {
    const queue = server(ann, `redis://127.0.0.1:${await findFreePort()}`);
    await queue.ready(50);
  });
});
