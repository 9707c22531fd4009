/**
 * The server of the chaos run: `chaos-server.ts <folder> <redis url>`. Prints its address, then the pids of its workers
 * whenever they change. Ends by SIGTERM.
 */
import { join } from 'node:path';
import { systemClock } from '../../server/core/clock.ts';
import { readConfig } from '../../server/core/config/read-config.ts';
import { AppError } from '../../server/core/errors.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createJobs } from '../../server/jobs/create-jobs.ts';
import { createJobService } from '../../server/jobs/service.ts';
import { startRpcServer } from '../../server/rpc/server.ts';
import { openFolderObjects } from '../../server/stores/objects/folder-objects.ts';
import { openSqliteRecords } from '../../server/stores/records/sqlite-records.ts';
import { startWorkerPool } from '../../workers/pool.ts';
import { createJobQueue } from '../../workers/queue/job-queue.ts';
import { createChaosKinds } from './chaos-kinds.ts';

const [dir = '', redisUrl = ''] = process.argv.slice(2);
const common = { clock: systemClock, log: silentLogger };
const records = await openSqliteRecords({ ...common, path: join(dir, 'records.db') });
const objects = await openFolderObjects({ ...common, dir: join(dir, 'objects') });
const queue = createJobQueue({ ...common, url: redisUrl });
const kinds = createChaosKinds(objects);
const jobs = createJobs({ ...common, records, objects, queue, kinds, sweepIntervalMs: 500 });
for (const { name } of kinds) {
  jobs.onJobSucceeded(name, async ({ id, result }) => {
    // A second publication must be the same as the first one: a second end would have other times.
    const body = Buffer.from(JSON.stringify(result));
    await objects.put(`published/${id}`, body, { ifAbsent: true }).catch(async (error: unknown) => {
      const there = Buffer.from(await objects.read(`published/${id}`));
      if (!(error instanceof AppError && error.reason === 'OBJECT_EXISTS')) throw error;
      if (!there.equals(body)) await objects.put(`published-twice/${id}`, body);
    });
  });
}
await jobs.start();
const server = await startRpcServer({
  ...common,
  address: '127.0.0.1:0',
  services: [createJobService(jobs)],
  maxMessageBytes: 4_194_304,
  maxMetadataBytes: 16_384,
  drainTimeoutMs: 500,
  reflection: false,
  health: false,
});
const config = { ...readConfig({ SHOWRUNNER_STATE_DIR: dir }), REDIS_URL: redisUrl };
const entry = join(import.meta.dirname, 'chaos-worker.ts');
const pool = startWorkerPool({ ...common, count: 2, config, env: process.env, entry });
process.stdout.write(`${JSON.stringify({ address: server.address })}\n`);
let told = '';
const timer = setInterval(() => {
  const pids = JSON.stringify({ pids: pool.pids() });
  if (pids !== told) process.stdout.write(`${pids}\n`);
  told = pids;
}, 20);
process.once('SIGTERM', () => {
  clearInterval(timer);
  void (async () => {
    await server.close();
    await pool.close(2_000);
    await jobs.close();
    await queue.close();
    await objects.close();
    await records.close();
    process.exit();
  })();
});
