import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { jobs as jobsCommand } from '../../server/cli/jobs/jobs.ts';
import { createJobService } from '../../server/jobs/service.ts';
import type { RpcServer } from '../../server/rpc/server.ts';
import { type JobsHarness, openJobsHarness } from '../jobs/fixtures/harness.ts';
import { runCommand } from '../support/run-command.ts';
import { runShowrunner, startShowrunner } from '../support/showrunner.ts';
import { startServices, startServicesAt } from '../support/start-services.ts';
import { waitUntil } from '../support/wait-until.ts';

describe('showrunner jobs', function () {
  this.timeout(60_000);

  let harness: JobsHarness;
  let server: RpcServer;
  before(async () => {
    harness = await openJobsHarness();
    server = await startServices(createJobService(harness.jobs));
    await harness.startWorker({ work: 4 });
  });
  after(async () => {
    await server.close();
    await harness.close();
  });

  const settings = () => ({ SHOWRUNNER_STATE_DIR: harness.path('state') });
  const withAddress = (args: readonly string[]) => ['jobs', ...args, '--address', server.address];
  /** Within this process: one of its own takes half a second to begin. */
  const jobs = (...args: readonly string[]) => runCommand(jobsCommand, withAddress(args).slice(1), settings());
  /** Runs a command that must succeed. */
  const done = async (...args: readonly string[]) => {
    const { code, output, errors } = await jobs(...args);
    assert.equal(code, 0, `${args.join(' ')}: ${errors}${output}`);
    return output;
  };
  const json = (value: unknown) => JSON.stringify(value);

  it('makes a job, watches it to its result, lists it and tells what it was', async () => {
    const made = await done('create', 'echo', json({ a: 1 }), '--label', 'team=x', '--request-id', 'one', '--watch');
    const [name = '', ...rest] = made.split('\n');
    assert.match(name, /^jobs\/[a-z0-9]+$/);
    assert.ok(rest.includes(`${name} succeeded`), made);
    const again = await done('create', 'echo', json({ a: 1 }), '--label', 'team=x', '--request-id', 'one');
    const listed = await done('list', '--label', 'team=x', '--state', 'succeeded', '--kind', 'echo');
    const got = await done('get', name);
    const other = await done('list', '--label', 'team=y', '--json');
    assert.equal(again, `${name} (made earlier)`);
    assert.match(listed, new RegExp(`^${name} +echo +succeeded`, 'm'));
    const { state, attempts } = JSON.parse(got) as { state: string; attempts: unknown[] };
    assert.deepEqual([state, attempts.length, other], ['STATE_SUCCEEDED', 1, '']);
  });

  it('ends with code 1 and the reason when a watched job fails, and shows what such failures have in common', async () => {
    const failed = await jobs('create', 'bad-input', json({ log: harness.path('x') }), '--watch');
    assert.equal(failed.code, 1);
    assert.match(failed.errors, /^INVALID_ARGUMENT INVALID_FIELDS: jobs\/\w+ ended as failed: /m);
    const insight = await done('insight', '--since', '1h', '--kind', 'bad-input');
    assert.match(insight, /^1 jobs$/m);
    assert.match(insight, /^ +1 +bad-input +INVALID_FIELDS /m);
  });

  it('cancels, restarts and forgets jobs, and shows their log', async () => {
    const params = json({ log: harness.path('log'), until: harness.path('go') });
    const name = await done('create', 'hold', params);
    await harness.untilState(name.slice('jobs/'.length), 'running');
    assert.equal(await done('cancel', name), `${name} cancelled`);
    harness.touch('go');
    const [restarted = '', ...rest] = (await done('restart', name, '--watch')).split('\n');
    assert.ok(rest.includes(`${restarted} succeeded`));
    assert.match(await done('logs', restarted, '--follow'), /^\d{4}-\d\d-\d\d .* #1 info {2}/m);
    await done('delete', restarted);
    const { code, errors } = await jobs('get', restarted);
    assert.deepEqual([code, errors.split(':')[0]], [1, 'NOT_FOUND JOB_NOT_FOUND']);
  });

  it('leaves a job alone when its watch is interrupted', async () => {
    const params = json({ log: harness.path('log2'), until: harness.path('later') });
    const name = await done('create', 'hold', params);
    await harness.untilState(name.slice('jobs/'.length), 'running');
    const watch = startShowrunner(withAddress(['create', 'hold', params, '--watch']), settings());
    await waitUntil('it watches', () => watch.lines.length > 0, 20_000);
    const watched = watch.lines[0] ?? '';
    await harness.untilState(watched.slice('jobs/'.length), 'running');
    watch.process.kill('SIGINT');
    assert.equal(await watch.ended, 0);
    assert.ok(watch.lines.includes(`${watched} goes on: showrunner jobs watch ${watched}`));
    harness.touch('later');
    assert.match(await done('watch', name), new RegExp(`^${name} succeeded$`, 'm'));
  });

  it('goes on with a watch when the server was away', async () => {
    const name = await done('create', 'hold', json({ log: harness.path('log3'), until: harness.path('back') }));
    const id = name.slice('jobs/'.length);
    await harness.untilState(id, 'running');
    const watch = startShowrunner(withAddress(['watch', name]), settings());
    await waitUntil('it watches', () => watch.lines.some((line) => line.includes(': hold')), 20_000);
    const { address } = server;
    await server.close();
    harness.touch('back');
    await harness.untilEnded(id);
    server = await startServicesAt(address, createJobService(harness.jobs));
    assert.equal(await watch.ended, 0, watch.errors());
    assert.ok(watch.lines.includes(`${name} succeeded`), watch.lines.join('\n'));
    assert.equal(watch.lines.filter((line) => line.includes(': hold')).length, 1, 'nothing is shown twice');
  });

  it('puts, runs, lists and deletes templates', async () => {
    await writeFile(harness.path('template.json'), json({ kind: 'echo', strategy: { kind: 'KIND_SEQUENTIAL' } }));
    const file = `@${harness.path('template.json')}`;
    assert.equal(await done('template', 'put', 'say', file), 'templates/say revision 1');
    assert.equal(await done('template', 'put', 'templates/say', file), 'templates/say revision 2');
    const ran = await done('template', 'run', 'say', json({ b: 2 }), '--watch');
    assert.match(ran, /^jobs\/\w+ succeeded$/m);
    const listed = await done('template', 'list');
    const got = await done('template', 'get', 'say');
    assert.match(listed, /^templates\/say +echo +sequential +2$/m);
    assert.equal((JSON.parse(got) as { kind: string }).kind, 'echo');
    await done('template', 'unblock', 'say');
    await done('template', 'delete', 'say');
  });

  it('puts, pauses and runs schedules, and tells what a backfill would make before it makes it', async () => {
    const schedule = json({ cron: '0 3 * * *', timeZone: 'Europe/Berlin', template: { kind: 'echo' } });
    assert.match(
      await done('schedule', 'put', 'nightly', schedule),
      /^schedules\/nightly +0 3 \* \* \* Europe\/Berlin/m,
    );
    const range = ['backfill', 'nightly', '2026-01-01', '2026-01-04T00:00:00Z', '--limit', '2'];
    const dry = await done('schedule', ...range, '--newest-first', '--dry-run');
    assert.match(dry, /^2026-01-03 02:00:00 +would be made\n2026-01-02 02:00:00 +would be made\n2 of 3 slots$/m);
    const made = await done('schedule', ...range);
    assert.match(made, /^2026-01-01 02:00:00 +jobs\/\w+ +made$/m);
    assert.match(await done('schedule', ...range), /^2026-01-01 02:00:00 +jobs\/\w+ +was there$/m);
    assert.match(await done('schedule', 'pause', 'nightly'), / paused /);
    assert.match(await done('schedule', 'resume', 'nightly'), /Berlin +\d{4}-/);
    assert.match(await done('schedule', 'run', 'nightly', '--watch'), /^jobs\/\w+ succeeded$/m);
    const listed = await done('schedule', 'list');
    const got = await done('schedule', 'get', 'nightly');
    assert.match(listed, /^schedules\/nightly/m);
    assert.equal((JSON.parse(got) as { timeZone: string }).timeZone, 'Europe/Berlin');
    await done('schedule', 'delete', 'nightly');
  });

  it('puts and runs workflows, restarts a failed run from its failure, and draws both', async () => {
    const nodes = [
      { id: 'first', job: { kind: 'echo', params: { n: 1 } } },
      { id: 'second', after: [{ node: 'first' }], job: { kind: 'bad-input', params: { log: harness.path('w') } } },
    ];
    assert.equal(await done('workflow', 'put', 'two', json({ nodes })), 'workflows/two revision 1');
    const failed = await jobs('workflow', 'run', 'two', '--watch');
    const name = failed.output.split('\n')[0] ?? '';
    assert.equal(failed.code, 1);
    assert.match(failed.output, /^second +failed /m);
    const restarted = await jobs('workflow', 'restart', name, '--watch');
    assert.match(restarted.output, /^first +succeeded \(earlier run\)/m);
    const out = harness.path('run.svg');
    const nodesShown = await done('workflow', 'nodes', name);
    const path = await done('workflow', 'graph', name, out);
    const plain = await done('workflow', 'graph', 'two', '-');
    const listed = await done('workflow', 'list');
    const got = await done('workflow', 'get', 'two');
    assert.match(nodesShown, /^first +succeeded /m);
    assert.equal(path, out);
    assert.match(await readFile(out, 'utf8'), /^<svg [\s\S]*second[\s\S]*<\/svg>\s*$/);
    assert.match(plain, /^<svg /);
    assert.match(listed, /^workflows\/two +2 +1$/m);
    assert.equal((JSON.parse(got) as { nodes: unknown[] }).nodes.length, 2);
    await done('workflow', 'delete', 'two');
  });

  it('refuses what it cannot read and says which part, with code 1, and shows its usage with code 2', async () => {
    const refused: readonly (readonly [args: readonly string[], told: RegExp])[] = [
      [['create'], /KIND: is missing/],
      [['create', 'echo', '{'], /JSON: /],
      [['create', 'echo', '[1]'], /JSON: expected a JSON object/],
      [['create', 'echo', '@/no/such/file'], /JSON: ENOENT/],
      [['create', 'echo', '{}', '--label', 'x'], /--label: expected key=value/],
      [['create', 'echo', '{}', '--priority', 'high'], /--priority: expected a whole number/],
      [['list', '--state', 'done'], /--state: expected one of queued, running/],
      [['list', '--since', 'yesterday'], /--since: expected e.g./],
      [['get', 'titles/x'], /NAME: expected jobs\/…/],
      [['cancel'], /JOB: is missing/],
      [['template', 'put', 't', '{"kynd":"echo"}'], /JSON: .*kynd/],
      [['schedule', 'backfill', 's', 'May'], /FROM: expected e.g./],
      [['workflow', 'put', 'w'], /JSON: expected an object or @file/],
    ];
    for (const [args, told] of refused) {
      const { code, errors } = await jobs(...args);
      assert.equal(code, 1, `${args.join(' ')}: ${errors}`);
      assert.match(errors, told);
    }
    for (const wrong of [['dance'], ['template', 'dance'], ['workflow']]) {
      const { code, errors } = await jobs(...wrong);
      assert.equal(code, 2);
      assert.match(errors, /^ {2}showrunner jobs workflow graph /m);
    }
    const { code, errors } = await runShowrunner(withAddress(['list', '--loud']), settings());
    assert.deepEqual([code, errors.split("'", 1)[0]], [2, 'showrunner: Unknown option ']);
  });
});

describe('a watch of showrunner jobs that begins late', function () {
  this.timeout(60_000);

  it('shows a job to its end though its first events are no longer kept', async () => {
    const harness = await openJobsHarness({ maxEvents: 2 });
    await harness.startWorker({ work: 1 });
    const server = await startServices(createJobService(harness.jobs));
    try {
      const { id } = await harness.create('echo', { value: 1 });
      await harness.untilEnded(id);
      const args = ['watch', `jobs/${id}`, '--address', server.address];
      const { code, output, errors } = await runCommand(jobsCommand, args, {});
      assert.equal(code, 0, errors);
      assert.match(output, new RegExp(`^jobs/${id} succeeded$`, 'm'));
    } finally {
      await server.close();
      await harness.close();
    }
  });
});
