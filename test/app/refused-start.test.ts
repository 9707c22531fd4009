import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type App, buildApp } from '../../server/app/build-app.ts';
import { Code } from '../../server/core/codes.ts';
import { readConfig } from '../../server/core/config/read-config.ts';
import { AppError } from '../../server/core/errors.ts';
import { silentLogger } from '../../server/core/log.ts';
import { openRedis } from '../../workers/redis/private-redis.ts';
import { descendantsOf, isAlive } from '../support/processes.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { longestTestMs, type RunningServer, startServer } from '../support/run-server.ts';
import { runShowrunner, startShowrunner } from '../support/showrunner.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

const patienceMs = 90_000;

/** Runs `serve` to its end and gives what it said, and the processes that it had started and that still run. */
async function serveInVain(settings: Record<string, string>) {
  const child = startShowrunner(['serve'], settings);
  const started = new Set<number>();
  let isOver = false;
  void child.ended.then(() => {
    isOver = true;
  });
  const watch = () => {
    for (const { pid } of descendantsOf(child.process.pid ?? 0)) started.add(pid);
    return isOver;
  };
  await waitUntil('it gives up', watch, patienceMs).catch(child.kill);
  await waitUntil('all it started are gone', () => ![...started].some(isAlive), 5_000).catch(() => {});
  return { code: await child.ended, errors: child.errors(), left: [...started].filter(isAlive) };
}

describe('serve', function () {
  this.timeout(longestTestMs);

  let server: RunningServer;
  let temp: TempDir;
  before(async () => {
    temp = await createTempDir();
    server = await startServer();
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await temp[Symbol.asyncDispose]();
  });

  it('leaves a state folder alone that another server owns, and names that one', async () => {
    const family = server.family();
    const { code, errors, left } = await serveInVain({ SHOWRUNNER_STATE_DIR: server.stateDir });
    assert.equal(code, 1);
    const folder = `STATE_DIR_IN_USE: ${server.stateDir}`;
    assert.ok(errors.includes(folder) && errors.includes(`in use by process ${server.pid}`), errors);
    assert.equal(errors.trim().split('\n').length, 1, errors);
    assert.deepEqual(left, []);
    // Its workers may have come up meanwhile; what it had stays.
    const after = server.family();
    for (const each of family)
      assert.deepEqual(
        after.find(({ pid }) => pid === each.pid),
        each,
      );
    await server.clients.jobs.listJobs({});
  });

  it('gives up when its port is taken, and leaves neither Redis nor worker', async () => {
    const { code, errors, left } = await serveInVain({
      SHOWRUNNER_STATE_DIR: join(temp.path, 'port'),
      SHOWRUNNER_ADDRESS: server.address,
    });
    assert.equal(code, 1);
    assert.match(
      errors,
      new RegExp(`^showrunner: ADDRESS_IN_USE: Address ${server.address} is in use.* SHOWRUNNER_ADDRESS`, 'm'),
    );
    assert.ok(!errors.includes('    at '), errors);
    assert.deepEqual(left, []);
    assert.ok(existsSync(join(temp.path, 'port', 'redis')), 'it had started its Redis');
  });

  it('gives up when the port of its HTTP origin is taken', async () => {
    const { appliances } = await server.clients.manifest.listAppliances({});
    const origin = new URL(appliances[0]?.baseUrl ?? '').host;
    const { code, errors, left } = await serveInVain({
      SHOWRUNNER_STATE_DIR: join(temp.path, 'origin'),
      SHOWRUNNER_ORIGIN_ADDRESS: origin,
    });
    assert.equal(code, 1);
    assert.match(errors, new RegExp(`^showrunner: ADDRESS_IN_USE: .*${origin}.*SHOWRUNNER_ORIGIN_ADDRESS`, 'm'));
    assert.deepEqual(left, []);
  });

  it('names all faults of its settings before it touches anything', async () => {
    const stateDir = join(temp.path, 'faults');
    const { code, errors } = await runShowrunner(['serve'], {
      SHOWRUNNER_STATE_DIR: stateDir,
      SHOWRUNNER_WORKERS: 'many',
      SHOWRUNNER_PORT: '7400',
    });
    assert.equal(code, 1);
    assert.match(errors, /SHOWRUNNER_WORKERS: expected a whole number, got "many"/);
    assert.match(errors, /SHOWRUNNER_PORT: no such setting/);
    assert.equal(existsSync(stateDir), false);
  });

  it('says which package to install when there is no Redis', async () => {
    const { code, errors } = await runShowrunner(['serve'], {
      SHOWRUNNER_STATE_DIR: join(temp.path, 'no-redis'),
      PATH: '/nonexistent',
    });
    assert.equal(code, 1);
    assert.match(errors, /apt-get install redis-server/);
  });

  const clean = (settings: Record<string, string>) =>
    readConfig({ SHOWRUNNER_ADDRESS: '127.0.0.1:0', SHOWRUNNER_ORIGIN_ADDRESS: '127.0.0.1:0', ...settings });
  const build = (settings: Record<string, string>) => buildApp(clean(settings), silentLogger, process.env);

  it('names all that is wrong with the files and lists of its settings, before it opens anything', async () => {
    const path = join(temp.path, 'tls');
    const settings = {
      SHOWRUNNER_STATE_DIR: path,
      SHOWRUNNER_TLS_CERT: '/nonexistent/cert.pem',
      SHOWRUNNER_TLS_KEY: '/nonexistent/key.pem',
      SHOWRUNNER_UPSTREAM_CA: temp.path,
      SHOWRUNNER_FILTERS_CONFIG: '/nonexistent/filters.json',
    };
    const error = await rejectsWith(build(settings), Code.INVALID_ARGUMENT, 'CONFIG_INVALID');
    const [first = '', ...faults] = error.message.split('\n');
    assert.match(first, /4 fault/);
    const named = [
      /TLS_CERT .*cert\.pem: ENOENT/,
      /TLS_KEY .*key\.pem/,
      /UPSTREAM_CA .*EISDIR/,
      /FILTERS_CONFIG .*json/,
    ];
    for (const [index, name] of named.entries()) assert.match(faults[index] ?? '', name);
    assert.equal(existsSync(path), false);
  });

  it('finds a CA that holds no certificate before it opens anything', async () => {
    const path = join(temp.path, 'ca');
    const ca = join(temp.path, 'ca.pem');
    writeFileSync(ca, 'no pem');
    const settings = { SHOWRUNNER_STATE_DIR: path, SHOWRUNNER_UPSTREAM_CA: ca };
    await rejectsWith(build(settings), Code.FAILED_PRECONDITION, 'TLS_INVALID');
    assert.equal(existsSync(path), false);
  });

  it('does not share the Redis that its settings name with a server on another state folder', async () => {
    const redis = await openRedis({ dir: join(temp.path, 'shared-redis'), log: silentLogger });
    try {
      const on = (name: string) =>
        build({ SHOWRUNNER_STATE_DIR: join(temp.path, name), SHOWRUNNER_REDIS_URL: redis.url });
      const first = await on('first');
      try {
        const error = await rejectsWith(on('second'), Code.FAILED_PRECONDITION, 'REDIS_IN_USE');
        assert.match(error.message, /SHOWRUNNER_REDIS_URL names belongs to .*first.*two would take each other's jobs/);
      } finally {
        await first.close();
      }
      await rejectsWith(on('second'), Code.FAILED_PRECONDITION, 'REDIS_IN_USE');
      await (await on('first')).close();
    } finally {
      await redis.close();
    }
  });

  it('names a state folder that is none', async () => {
    const path = join(temp.path, 'a-file');
    writeFileSync(path, '');
    const error = await rejectsWith(
      build({ SHOWRUNNER_STATE_DIR: path }),
      Code.FAILED_PRECONDITION,
      'STATE_DIR_UNUSABLE',
    );
    assert.match(error.message, /a-file.*SHOWRUNNER_STATE_DIR/);
  });

  it('names what stands in the way in the state folder', async () => {
    for (const name of ['redis', 'objects', 'owner.lock', 'api-key']) {
      const dir = join(temp.path, `with-${name}`);
      const path = join(dir, name);
      // A file where a folder should be, and the other way round.
      if (['redis', 'objects'].includes(name)) {
        mkdirSync(dir);
        writeFileSync(path, '');
      } else mkdirSync(path, { recursive: true });
      const refused = build({ SHOWRUNNER_STATE_DIR: dir });
      const error = await refused.then(
        () => assert.fail(`it started with ${name}`),
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof AppError, name);
      assert.match(error.reason, /^(STATE_DIR_UNUSABLE|DISK_FAILED)$/, name);
      assert.match(error.message, /EEXIST|ENOTDIR|EISDIR|unable to open/, name);
    }
  });

  it('does not start with a filter that does not load, and starts on the same folder once it is mended', async () => {
    const filters = join(temp.path, 'filters');
    mkdirSync(join(filters, 'broken'), { recursive: true });
    const path = join(filters, 'broken', 'filter.ts');
    writeFileSync(path, 'export const filter = ;');
    const settings = { SHOWRUNNER_STATE_DIR: join(temp.path, 'mended'), SHOWRUNNER_FILTERS_DIR: filters };
    const error = await rejectsWith(build(settings), Code.FAILED_PRECONDITION, 'FILTER_LOAD_FAILED');
    assert.ok(error.message.includes(path), error.message);
    writeFileSync(
      path,
      `import { defineFilter } from 'showrunner/filter';
       export const filter = defineFilter({ id: 'test.mended', version: '1.0.0', type: 'inbound', order: 1,
         category: 'routing', run: () => {} });`,
    );
    const app: App = await build(settings);
    await app.close();
  });
});
