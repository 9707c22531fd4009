import assert from 'node:assert/strict';
import { Job_State } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { findFreePort } from '../support/free-port.ts';
import { descendantsOf, isAlive, type ProcessInfo } from '../support/processes.ts';
import { longestTestMs, type RunningServer, startServer } from '../support/run-server.ts';
import { startShowrunner } from '../support/showrunner.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';
import { partsOf, startTranscode, untilSucceeded } from './fixtures/titles.ts';

const profile = 'profiles/42';
const device = (name: string) => ({ device: `devices/${name}`, profile, category: name });
const patienceMs = 90_000;
/** One small rung: what is encoded does not matter here. */
const ladder = [{ height: 360, crf: 26, maxrateKbps: 900 }];

const isGone = (family: readonly ProcessInfo[]) => !family.some(({ pid }) => isAlive(pid));

/** An import that the server has begun: its second half is sent when `finish` is called. */
async function beginImport({ clients }: RunningServer) {
  const rest = Promise.withResolvers<void>();
  const rating = (title: string) => ({
    ratings: [{ profile, title, value: 4, time: { seconds: 1n, nanos: 0 } }],
  });
  async function* batches() {
    yield { titles: ['a', 'b'].map((id) => ({ title: `titles/${id}`, displayName: id, genres: [] })) };
    yield rating('titles/a');
    await rest.promise;
    yield rating('titles/b');
  }
  const answer = clients.ranking.importDataset(batches());
  answer.catch(() => {});
  // Same connection, so the server has the import by the time it answers this.
  await clients.ranking.listDatasets({});
  return { answer, finish: rest.resolve };
}

/** A device online: all frames that it was sent, and how its stream ended. */
async function goOnline({ clients }: RunningServer) {
  const frames: { case: string | undefined; value?: unknown }[] = [];
  const read = async () => {
    for await (const { frame } of clients.notifications.subscribe({ device: device('tv') })) frames.push(frame);
    return 'ended well';
  };
  const end = read();
  end.catch(() => {});
  await waitUntil('the device is online', () => frames.some((frame) => frame.case === 'hello'), patienceMs);
  return { frames, end };
}

async function untilChunkRuns(server: RunningServer, job: string) {
  const isRunning = async () =>
    (await partsOf(server, job)).some(({ kind, state }) => kind === 'encode-chunk' && state === Job_State.RUNNING);
  await waitUntil('a chunk runs', isRunning, patienceMs);
}

describe('SIGTERM', function () {
  this.timeout(longestTestMs);

  it('lets a call in flight end, sends devices away, and leaves no process', async () => {
    await using server = await startServer();
    const family = server.family();
    assert.ok(family.length >= 4, 'redis, its watchdog and two workers');
    const device = await goOnline(server);
    const slow = await beginImport(server);
    const ended = server.kill('SIGTERM');
    await waitUntil('the server drains', () => server.logs().some(({ message }) => message === 'draining'), patienceMs);
    await waitUntil('the device is sent away', () => device.frames.at(-1)?.case === 'goAway', patienceMs);
    const goAway = device.frames.at(-1)?.value as { reason: string; retryAfter?: { seconds: bigint } };
    assert.equal(goAway.reason, 'SHUTDOWN');
    assert.ok((goAway.retryAfter?.seconds ?? 0n) >= 1n);
    assert.equal(await device.end, 'ended well');
    // Only the import is left: whoever calls now is refused, by the server or for want of one that listens.
    await waitUntil('new calls are refused', () => refuses(server), patienceMs);
    slow.finish();
    const { dataset } = await slow.answer;
    assert.equal(dataset?.ratingCount, 2n);
    assert.equal(await ended, 0);
    assert.ok(isGone(family), JSON.stringify(family.filter(({ pid }) => isAlive(pid))));
    assert.deepEqual(
      server.logs().filter(({ level }) => level === 'error'),
      [],
    );
  });

  it('ends within its deadline amid a job and a call that never ends, and the next start goes on with the job', async () => {
    await using state = await createTempDir();
    const drainTimeoutMs = 500;
    const settings = { SHOWRUNNER_DRAIN_TIMEOUT_MS: String(drainTimeoutMs) };
    const first = await startServer({ stateDir: state.path, settings });
    const job = await startTranscode(first, 'titles/clip', { ladder });
    await untilChunkRuns(first, job);
    const stuck = await beginImport(first);
    const family = first.family();
    const startedAt = performance.now();
    assert.equal(await first.kill('SIGTERM'), 0);
    // Workers and server each get the time, and then some to put things down; all the rest is the machine's.
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs < 2 * drainTimeoutMs + 30_000, `${tookMs} ms`);
    assert.ok(isGone(family));
    const error = await stuck.answer.then(
      () => assert.fail('the import cannot have ended'),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof AppError);
    assert.equal(error.code, Code.UNAVAILABLE);
    await first[Symbol.asyncDispose]();

    await using next = await startServer({ stateDir: state.path });
    await untilSucceeded(next, job);
    const handedBack = (await partsOf(next, job)).filter(({ attempts }) => attempts.length > 1);
    for (const { attempts } of handedBack) assert.equal(attempts[0]?.endReason, 'WORKER_STOPPING');
  });
});

describe('a server whose Redis is away', function () {
  this.timeout(longestTestMs);

  it('takes jobs in, answers, and ends well before its deadline when it is told to', async () => {
    const redisUrl = `redis://127.0.0.1:${await findFreePort()}`;
    await using server = await startServer({ workers: 1, settings: { SHOWRUNNER_REDIS_URL: redisUrl } });
    const job = await startTranscode(server, 'titles/clip', { ladder });
    const { state } = (await server.clients.jobs.getJob({ name: job })).job ?? {};
    assert.equal(state, Job_State.QUEUED);
    const family = server.family();
    const startedAt = performance.now();
    assert.equal(await server.kill('SIGTERM'), 0);
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs < 20_000, `${tookMs} ms`);
    assert.ok(isGone(family));
  });
});

describe('a signal', function () {
  this.timeout(longestTestMs);

  it('during the start ends the server once it has started', async () => {
    await using state = await createTempDir();
    const child = startShowrunner(['serve'], { SHOWRUNNER_STATE_DIR: state.path });
    let family: ProcessInfo[] = [];
    const hasStarted = () => {
      family = descendantsOf(child.process.pid ?? 0);
      return family.length > 0;
    };
    await waitUntil('it has begun to start', hasStarted, patienceMs);
    child.process.kill('SIGTERM');
    assert.equal(await child.ended, 0, child.errors());
    assert.match(child.errors(), /"serving".*\n.*"draining"/);
    assert.ok(isGone(family));
  });

  it('that comes a second time ends the server at once', async () => {
    await using server = await startServer();
    await beginImport(server);
    const family = server.family();
    const ended = server.kill('SIGINT');
    await waitUntil('the server drains', () => server.logs().some(({ message }) => message === 'draining'), patienceMs);
    assert.equal(await server.kill('SIGINT'), 1);
    assert.equal(await ended, 1);
    await waitUntil('nothing of it is left', () => isGone(family), patienceMs);
  });
});

describe('kill -9 of the server', function () {
  this.timeout(longestTestMs);

  it('ends Redis and workers, and a restart finds all that was there and ends the job', async () => {
    await using state = await createTempDir();
    const first = await startServer({ stateDir: state.path });
    const { clients } = first;
    await clients.notifications.sync({ device: device('phone') });
    await clients.notifications.publish({
      notification: { notificationId: 'n-1', profile, kind: 'title.added', subject: 'titles/clip' },
    });
    const job = await startTranscode(first, 'titles/clip', { notify: profile, ladder });
    await untilChunkRuns(first, job);
    const family = first.family();
    assert.equal(await first.kill('SIGKILL'), 'SIGKILL');
    await waitUntil('nothing of it is left', () => isGone(family), patienceMs);
    await first[Symbol.asyncDispose]();

    await using next = await startServer({ stateDir: state.path });
    assert.equal(next.apiKey, first.apiKey);
    const { title } = await next.clients.manifest.getTitle({ name: 'titles/clip' });
    assert.equal(title?.displayName, 'titles/clip');
    const { jobs } = await next.clients.jobs.listJobs({});
    assert.deepEqual(
      jobs.map(({ name }) => name),
      [job],
    );
    const done = await untilSucceeded(next, job);
    assert.equal((done.result as { frameCount: number }).frameCount, 132);
    const { notifications } = await next.clients.notifications.sync({ device: device('phone') });
    assert.deepEqual(
      notifications.map(({ kind }) => kind),
      ['title.added', 'title.available'],
    );
    const { encodeSets } = await next.clients.manifest.listEncodeSets({ title: 'titles/clip' });
    assert.equal(encodeSets.length, 1);
  });
});

async function refuses({ clients }: RunningServer): Promise<boolean> {
  try {
    await clients.jobs.listJobs({}, { deadlineMs: 5_000 });
    return false;
  } catch (error) {
    return error instanceof AppError && error.code === Code.UNAVAILABLE;
  }
}
