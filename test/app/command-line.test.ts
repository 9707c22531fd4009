import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { commands } from '../../server/cli/commands.ts';
import { callableServices } from '../../server/cli/services.ts';
import { startCommand } from '../support/child-script.ts';
import { longestTestMs, type RunningServer, startServer } from '../support/run-server.ts';
import { runShowrunner } from '../support/showrunner.ts';
import { createTempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

/** Each command's process takes half a second to begin: what does not depend on each other runs side by side. */
const runAll = (...calls: readonly (readonly string[])[]) => Promise.all(calls.map((args) => runShowrunner(args)));

/** One JSON object after the other. */
function readAnswers(output: string): { event?: { eventId: string } }[] {
  return output.split(/^(?=\{)/m).map((text) => JSON.parse(text));
}

describe('the command line', function () {
  this.timeout(longestTestMs);

  const listedIn = (text: string) => [...text.matchAll(/^ {2}showrunner (\w+)/gm)].map(([, name]) => name);
  const all = commands.map(({ name }) => name);

  it('lists its commands when asked, and one when asked for it', async () => {
    const [one, ...others] = await runAll(['call', '--help'], ['help'], ['--help'], ['-h'], []);
    for (const { code, output, errors } of others) assert.deepEqual([code, listedIn(output), errors], [0, all, '']);
    assert.ok(one);
    assert.deepEqual([one.code, listedIn(one.output), one.errors], [0, ['call'], '']);
  });

  it('tells of a command what it takes: subcommands, options, those of the server that is called', async () => {
    const commandHelp = (...words: string[]) => runAll([...words, '--help']);
    const [[call], [transcode], [jobs], [filters], [notebooks], [run], [bench]] = await Promise.all([
      commandHelp('call'),
      commandHelp('transcode'),
      commandHelp('jobs', 'create'),
      commandHelp('filters'),
      commandHelp('notebooks'),
      commandHelp('notebooks', 'run'),
      commandHelp('bench'),
    ]);
    for (const help of [call, transcode, jobs, filters, notebooks, run, bench])
      assert.deepEqual([help?.code, help?.errors], [0, '']);
    for (const help of [call, transcode, jobs, filters])
      assert.match(help?.output ?? '', /^ {2}--address HOST:PORT {3}/m);
    assert.match(transcode?.output ?? '', /^ {2}--no-wait /m);
    assert.match(jobs?.output ?? '', /^ {2}showrunner jobs schedule backfill SCHEDULE FROM/m);
    assert.match(filters?.output ?? '', /^ {2}showrunner filters promote GROUP/m);
    assert.match(notebooks?.output ?? '', /^ {2}showrunner notebooks recover OUT/m);
    assert.match(run?.output ?? '', /--execution-timeout/);
    assert.match(bench?.output ?? '', /^rpc, .*\bjobs-chaos\b/m);
  });

  it('says which command there is none of, and lists those there are', async () => {
    const { code, output, errors } = await runShowrunner(['serv']);
    assert.deepEqual([code, output, listedIn(errors)], [2, '', all]);
    assert.match(errors, /^showrunner: there is no command "serv"$/m);
  });

  it('refuses flags and arguments that a command does not have, with exit code 2', async () => {
    await using temp = await createTempDir();
    const settings = { SHOWRUNNER_STATE_DIR: temp.path };
    const wrong = [
      ['serve', '--port=1'],
      ['serve', 'now'],
      ['worker', '--fast'],
      ['demo', '--quick'],
      ['call', '--json', 'JobService/ListJobs'],
    ];
    const results = await Promise.all(wrong.map((args) => runShowrunner(args, settings)));
    for (const [index, { code, output, errors }] of results.entries()) {
      const told = `${wrong[index]?.join(' ')}: ${errors}`;
      assert.equal(code, 2, told);
      assert.match(errors, /^showrunner: Un(known option|expected argument) '/, told);
      assert.equal(errors.trim().split('\n').length, 1, told);
      assert.equal(output, '');
    }
  });
  it('is the same process as the script that starts it, and gives its exit code', async () => {
    const script = join(import.meta.dirname, '../../scripts/showrunner.js');
    const [help, wrong] = [
      startCommand([process.execPath, script, 'help']),
      startCommand([process.execPath, script, 'x']),
    ];
    assert.deepEqual([await help.ended, await wrong.ended], [0, 2]);
    assert.deepEqual(listedIn(help.lines.join('\n')), all);
    assert.deepEqual([help.errors(), wrong.errors().split('\n')[0]], ['', 'showrunner: there is no command "x"']);
    await using temp = await createTempDir();
    const server = startCommand([process.execPath, script, 'serve'], {
      PATH: process.env['PATH'],
      SHOWRUNNER_STATE_DIR: temp.path,
      SHOWRUNNER_ADDRESS: '127.0.0.1:0',
      SHOWRUNNER_ORIGIN_ADDRESS: '127.0.0.1:0',
      SHOWRUNNER_WORKERS: '0',
    });
    await waitUntil('it serves', () => server.errors().includes('"serving"'), 30_000);
    const owner = readFileSync(join(temp.path, 'owner.lock.pid'), 'utf8');
    assert.equal(Number(owner), server.process.pid);
    server.process.kill('SIGTERM');
    assert.equal(await server.ended, 0);
  });
});

describe('showrunner call', function () {
  this.timeout(longestTestMs);

  let server: RunningServer;
  before(async () => {
    server = await startServer({ workers: 0 });
  });
  after(() => server[Symbol.asyncDispose]());

  const call = (...args: string[]) =>
    runShowrunner(['call', ...args], {
      SHOWRUNNER_STATE_DIR: server.stateDir,
      SHOWRUNNER_ADDRESS: server.address,
    });

  it('sends JSON and prints each answer as JSON, for every kind of method', async () => {
    const title = { name: 'titles/by-hand', displayName: 'By hand', genres: ['Drama'] };
    const created = await call('ManifestService/CreateTitle', JSON.stringify({ title }));
    assert.equal(created.code, 0, created.errors);
    assert.equal(created.errors, '');
    const [read, imported, published] = await Promise.all([
      call('showrunner.manifest.v1.ManifestService/GetTitle', '{"name":"titles/by-hand"}'),
      call(
        'RankingService/ImportDataset',
        JSON.stringify([
          { titles: [{ title: 'titles/by-hand', displayName: 'By hand' }] },
          { ratings: [{ profile: 'profiles/1', title: 'titles/by-hand', value: 4.5, time: '2020-01-01T00:00:00Z' }] },
        ]),
      ),
      call(
        'EventService/PublishEvents',
        JSON.stringify(
          ['e-1', 'e-2'].map((eventId) => ({ event: { eventId, kind: 'play.stopped', profile: 'profiles/1' } })),
        ),
      ),
    ]);
    const { displayName, genres } = JSON.parse(read.output).title;
    assert.deepEqual({ displayName, genres }, { displayName: 'By hand', genres: ['Drama'] });
    assert.equal(JSON.parse(imported.output).dataset.ratingCount, '1');
    assert.equal(published.code, 0, published.errors);
    assert.equal(readAnswers(published.output).length, 2);
    // From the first on: the second, and then nothing until the time is over.
    const watched = await call('EventService/WatchEvents', '{"afterOffset":"1"}', '--timeout', '2500');
    assert.deepEqual([watched.code, watched.errors.split(':')[0]], [1, 'DEADLINE_EXCEEDED DEADLINE_EXCEEDED']);
    assert.deepEqual(
      readAnswers(watched.output).map(({ event }) => event?.eventId),
      ['e-2'],
    );
  });

  it('prints what was wrong, field by field, with exit code 1', async () => {
    const order = { titleId: 'titles/nowhere', sourceKey: 'sources/any' };
    const [missing, untitled, fields, key, noServer] = await Promise.all([
      call('JobService/GetJob', '{"name":"jobs/none"}'),
      call('JobService/CreateJob', JSON.stringify({ job: { kind: 'transcode', params: order } })),
      call('JobService/CreateJob', '{"job":{"kind":"transcode","params":{"titleId":"x"}}}'),
      call('JobService/ListJobs', '--key', 'wrong'),
      call('JobService/ListJobs', '--address', '127.0.0.1:1'),
    ]);
    for (const { code, output } of [missing, untitled, fields, key, noServer])
      assert.deepEqual([code, output], [1, '']);
    assert.match(missing.errors, /^NOT_FOUND JOB_NOT_FOUND: .*jobs\/none/);
    // At once, and not after a whole encode whose result has nowhere to go.
    assert.match(untitled.errors, /^NOT_FOUND TITLE_NOT_FOUND: .*titles\/nowhere/);
    assert.match(fields.errors, /^INVALID_ARGUMENT INVALID_FIELDS: /);
    assert.match(fields.errors, /^ {2}\S*titleId: must be a title name/m);
    assert.match(fields.errors, /^ {2}\S*sourceKey: must be an object key/m);
    assert.match(key.errors, /^UNAUTHENTICATED API_KEY_INVALID: /);
    assert.match(noServer.errors, /^UNAVAILABLE .*127\.0\.0\.1:1/);
  });

  it('names the methods there are when it does not know one, and what is wrong with a request', async () => {
    const [method, service, nothing, json, field, timeout] = await Promise.all([
      call('JobService/Nothing'),
      call('NoService/ListJobs'),
      call(),
      call('JobService/GetJob', '{"name":'),
      call('JobService/GetJob', '{"nam":"jobs/x"}'),
      call('JobService/ListJobs', '--timeout', 'soon'),
    ]);
    for (const { code, errors } of [method, service, nothing, json, field, timeout]) {
      assert.equal(code, 1, errors);
      assert.ok(!errors.includes('    at '), errors);
    }
    assert.match(method.errors, /there is no "JobService\/Nothing"/);
    assert.match(method.errors, /^ {2}showrunner\.jobs\.v1\.JobService\/ListJobs$/m);
    assert.ok(!method.errors.includes('CacheService'), 'only its own service');
    for (const { errors } of [service, nothing]) {
      for (const { typeName } of callableServices) assert.ok(errors.includes(`  ${typeName}/`), typeName);
    }
    assert.match(json.errors, /JSON: Unexpected end of JSON input/);
    assert.match(field.errors, /nam\b/);
    assert.match(timeout.errors, /--timeout: expected whole milliseconds, got "soon"/);
  });
});
