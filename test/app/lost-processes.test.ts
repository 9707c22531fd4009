import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Job, Job_State } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { descendantsOf, freeze, isAlive } from '../support/processes.ts';
import { longestTestMs, type RunningServer, startServer } from '../support/run-server.ts';
import { waitUntil } from '../support/wait-until.ts';
import { encodeSetOf, partsOf, startTranscode, untilSucceeded } from './fixtures/titles.ts';

const profile = 'profiles/42';
const title = 'titles/clip';
const phone = { device: 'devices/phone', profile, category: 'phone' };
const patienceMs = 90_000;

/** Workers are named `host/pid/class#slot`. */
function workerPidOf(part: Job): number {
  return Number(part.attempts.at(-1)?.worker.split('/')[1]);
}

function isEncoding(pid: number): boolean {
  return descendantsOf(pid).some(({ command }) => command.includes('ffmpeg') && command.includes('libx264'));
}

/** Stops a worker, so that what it does cannot end meanwhile, and gives its pid if it was amid a chunk. */
async function freezeAmidChunk(server: RunningServer, job: string): Promise<number> {
  let frozen = 0;
  const freezeOne = async () => {
    const chunks = (await partsOf(server, job)).filter(({ kind, state }) => {
      return kind === 'encode-chunk' && state === Job_State.RUNNING;
    });
    for (const pid of chunks.map(workerPidOf)) {
      await freeze(pid);
      frozen = pid;
      if (isEncoding(pid)) return true;
      process.kill(pid, 'SIGCONT');
    }
    return false;
  };
  await waitUntil('a worker is amid a chunk', freezeOne, patienceMs);
  return frozen;
}

const attemptsOf = (parts: readonly Job[]) => parts.map(({ attempts }) => attempts.length).toSorted();

describe('a transcode', function () {
  this.timeout(longestTestMs);

  let quiet: RunningServer;
  before(async () => {
    quiet = await startServer();
  });
  after(() => quiet[Symbol.asyncDispose]());

  it('whose worker is killed with -9 amid a chunk runs only that chunk again and gives the same bytes', async () => {
    const undisturbed = await untilSucceeded(quiet, await startTranscode(quiet, title));
    const whole = attemptsOf(await partsOf(quiet, undisturbed.name));
    assert.ok(whole.length >= 4 && whole.every((count) => count === 1), `attempts of the parts: ${whole}`);

    await using server = await startServer();
    await server.clients.notifications.sync({ device: phone });
    const name = await startTranscode(server, title, { notify: profile });
    const victim = await freezeAmidChunk(server, name);
    process.kill(victim, 'SIGKILL');
    const job = await untilSucceeded(server, name);

    const parts = await partsOf(server, name);
    // As many parts as without the fault, each in one attempt but the lost chunk.
    assert.deepEqual(attemptsOf(parts), [...whole.slice(1), 2]);
    const lost = parts.find(({ attempts }) => attempts.length === 2);
    assert.equal(lost?.kind, 'encode-chunk');
    assert.deepEqual(
      lost.attempts.map(({ endReason }) => endReason),
      ['WORKER_LOST', ''],
    );
    assert.equal(Number(lost.attempts[0]?.worker.split('/')[1]), victim);

    const [set, wanted] = [await encodeSetOf(server, job), await encodeSetOf(quiet, undisturbed)];
    assert.ok(set.objects.length > 10);
    assert.deepEqual(set, wanted);
    for (const { key, sha256 } of set.objects) {
      const bytes = await readFile(join(server.stateDir, 'objects', key));
      assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256, key);
    }

    const { encodeSets } = await server.clients.manifest.listEncodeSets({ title });
    assert.equal(encodeSets.length, 1);
    const { notifications } = await server.clients.notifications.sync({ device: phone });
    assert.deepEqual(
      notifications.map(({ kind, subject }) => [kind, subject]),
      [['title.available', title]],
    );
  });

  it('and all other acknowledged jobs outlive kill -9 of Redis', async () => {
    const again = (requestId: string) =>
      quiet.clients.jobs.createJob({
        job: { kind: 'transcode', params: { titleId: title, sourceKey: 'sources/clip.mp4' } },
        requestId,
      });
    const ladder = [{ height: 720, crf: 21, maxrateKbps: 5_000 }];
    const name = await startTranscode(quiet, 'titles/again', { ladder });
    const before = await Promise.all([again('before-1'), again('before-2')]);
    const worker = await freezeAmidChunk(quiet, name);
    const { pid } = quiet.redis();
    process.kill(pid, 'SIGKILL');
    process.kill(worker, 'SIGCONT');
    const during = await Promise.all([again('during-1'), again('during-2')]);
    for (const { job, existed } of [...before, ...during]) {
      assert.equal(existed, false);
      await untilSucceeded(quiet, job?.name ?? '');
    }
    const job = await untilSucceeded(quiet, name);
    assert.equal((await encodeSetOf(quiet, job)).frameCount, 132);
    assert.ok(!isAlive(pid));
    assert.notEqual(quiet.redis().pid, pid);
    assert.ok(quiet.logs().some(({ message }) => message === 'private redis ended, restarting'));
  });
});
