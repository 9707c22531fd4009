import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { Job_State, JobWebhook_Event } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { JobService } from '../../proto/gen/showrunner/jobs/v1/job_service_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { silentLogger } from '../../server/core/log.ts';
import { systemRandom } from '../../server/core/random.ts';
import { createJobService } from '../../server/jobs/service.ts';
import { isAllowed } from '../../server/jobs/webhooks/hook-store.ts';
import { createWebhooks } from '../../server/jobs/webhooks/webhooks.ts';
import { createRpcClient, type RpcClient } from '../../server/rpc/client.ts';
import type { RpcServer } from '../../server/rpc/server.ts';
import type { RecordsStore } from '../../server/stores/records/records-store.ts';
import { type ReceivedRequest, startHttpReceiver } from '../support/http-receiver.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { createShiftedClock } from '../support/shifted-clock.ts';
import { startServices } from '../support/start-services.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type JobsHarness, openJobsHarness } from './fixtures/harness.ts';

describe('webhooks of jobs', () => {
  let harness: JobsHarness;
  let receiver: Awaited<ReturnType<typeof startHttpReceiver>>;
  let server: RpcServer;
  let client: RpcClient<typeof JobService>;
  let answer: (request: ReceivedRequest, count: number) => number | undefined = () => 204;
  before(async () => {
    receiver = await startHttpReceiver((request, count) => answer(request, count));
    harness = await openJobsHarness({
      webhookOrigins: [receiver.origin],
      webhooks: { baseBackoffMs: 20, maxPending: 3, timeoutMs: 1_000 },
    });
    await serve();
    await harness.startWorker({ work: 4 });
  });
  const serve = async () => {
    server = await startServices(createJobService(harness.jobs));
    client = createRpcClient(JobService, { address: server.address });
  };
  const restart = async () => {
    client.close();
    await server.close();
    await harness.restartServer();
    await serve();
  };
  beforeEach(() => {
    answer = () => 204;
    receiver.requests.length = 0;
  });
  afterEach(async () => {
    for (const { id } of await harness.jobs.webhooks.list()) await harness.jobs.webhooks.delete(id);
  });
  after(async () => {
    client.close();
    await server.close();
    await harness.close();
    await receiver.close();
  });

  const subscribe = (change: object = {}) =>
    client.createWebhook({ webhook: { name: 'webhooks/w', url: `${receiver.origin}/hook?x=1`, ...change } });
  const counts = () => harness.jobs.webhooks.counters.snapshot();
  const received = (count: number) => waitUntil(`${count} requests`, () => receiver.requests.length >= count);

  it('are told of an end once, with a signature that can be checked', async () => {
    const { secret, webhook } = await subscribe({ secret: 'a-secret-of-the-test' });
    assert.deepEqual([secret, webhook?.secret], ['a-secret-of-the-test', '']);
    const { job } = await client.createJob({
      job: { kind: 'bad-input', params: { log: harness.path('x') }, labels: { team: 'a' } },
    });
    await received(1);
    const [request] = receiver.requests;
    assert.ok(request);
    const [, time = '', mac] =
      /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(request.headers['x-showrunner-signature'])) ?? [];
    assert.equal(createHmac('sha256', secret).update(`${time}.${request.body}`).digest('hex'), mac);
    assert.ok(Math.abs(Date.now() / 1000 - Number(time)) < 60);
    const body = JSON.parse(request.body) as Record<string, unknown>;
    assert.deepEqual(
      [body['event'], body['job'], body['state'], body['reason'], body['labels'], request.path],
      ['ended', job?.name, 'failed', 'INVALID_FIELDS', { team: 'a' }, '/hook?x=1'],
    );
    await waitUntil('it is done', () => harness.jobs.webhooks.status('w').pending === 0);
    await restart();
    const { id } = (
      await harness.jobs.list({
        kinds: new Set(),
        states: new Set(),
        labels: {},
        includeParts: false,
        after: undefined,
        pageSize: 1,
      })
    ).jobs[0] ?? { id: '' };
    assert.equal(`jobs/${id}`, job?.name);
    assert.equal(receiver.requests.length, 1, 'not again after a restart');
  });

  it('are told only what they ask for, and nothing of nodes of workflows', async () => {
    await subscribe({
      kinds: ['echo'],
      states: [Job_State.SUCCEEDED],
      labels: { team: 'b' },
      events: [JobWebhook_Event.ENDED],
    });
    await client.createWorkflow({
      workflow: {
        name: 'workflows/w',
        nodes: [{ id: 'n', work: { case: 'job', value: { kind: 'echo' } } }],
        labels: { team: 'b' },
      },
    });
    await client.runWorkflow({ name: 'workflows/w' });
    await client.createJob({ job: { kind: 'noop', labels: { team: 'b' } } });
    await client.createJob({ job: { kind: 'echo', labels: { team: 'c' } } });
    const { job } = await client.createJob({ job: { kind: 'echo', labels: { team: 'b' } } });
    await received(1);
    await waitUntil('all are settled', async () => (await harness.records.scan('jobs/open', {})).length === 0);
    assert.deepEqual(
      receiver.requests.map(({ body }) => (JSON.parse(body) as { job: string }).job),
      [job?.name],
    );
  });

  it('try again after errors, silence and redirects, with one delivery id, over a restart too', async () => {
    answer = (_request, count) => [500, undefined, 302, 204][count - 1];
    await subscribe();
    await client.createJob({ job: { kind: 'noop' } });
    await received(2);
    await restart();
    await received(4);
    assert.ok(
      receiver.requests.every(({ path }) => path === '/hook?x=1'),
      'redirects are not followed',
    );
    assert.equal(new Set(receiver.requests.map(({ headers }) => headers['x-showrunner-delivery'])).size, 1);
    await waitUntil('it is done', () => harness.jobs.webhooks.status('w').pending === 0);
  });

  it('give up at 410, and drop what is beyond those that may wait', async () => {
    answer = () => 410;
    await subscribe();
    const before = counts().dropped;
    await client.createJob({ job: { kind: 'noop' } });
    await waitUntil('it is dropped', () => counts().dropped === before + 1);
    assert.equal(receiver.requests.length, 1);
    answer = () => 503;
    for (let i = 0; i < 5; i++) await client.createJob({ job: { kind: 'noop' } });
    await waitUntil('two are too many', () => counts().dropped >= before + 3);
    assert.ok(harness.jobs.webhooks.status('w').pending <= 3);
    await waitUntil('it tells why', () => harness.jobs.webhooks.status('w').lastError === 'HTTP 503');
  });

  it('are left to another server that lives, and taken over from one that is gone', async () => {
    const clock = createShiftedClock();
    let looks = 0;
    const records: RecordsStore = {
      ...harness.records,
      scan: async (partition, range) => {
        const rows = await harness.records.scan(partition, range);
        if (partition === 'jobs/webhook-outbox') looks++;
        return rows;
      },
    };
    const other = createWebhooks({
      ...{ records, clock, random: systemRandom, log: silentLogger, origins: [receiver.origin] },
      takeOverIntervalMs: 10,
    });
    await other.start();
    answer = () => 500;
    await subscribe();
    await client.createJob({ job: { kind: 'noop' } });
    await received(1);
    // As if its server were gone with the next try a while ahead.
    await harness.jobs.webhooks.close();
    answer = () => 204;
    const [tries, seen] = [receiver.requests.length, looks];
    await waitUntil('the other one has looked', () => looks >= seen + 3);
    assert.equal(receiver.requests.length, tries);
    clock.shift(120_000);
    await received(tries + 1);
    await waitUntil('it is done', async () => (await harness.records.scan('jobs/webhook-outbox', {})).length === 0);
    assert.equal(receiver.requests.length, tries + 1);
    assert.equal(new Set(receiver.requests.map(({ headers }) => headers['x-showrunner-delivery'])).size, 1);
    assert.equal(other.counters.snapshot().delivered, 1);
    await other.close();
    await restart();
  });

  it('are not called any more when their origin is no longer named', async () => {
    answer = () => 500;
    await subscribe();
    await client.createJob({ job: { kind: 'noop' } });
    await received(1);
    client.close();
    await server.close();
    let before = 0;
    await harness.restartServer({ webhookOrigins: ['https://other.example'] }, () => {
      answer = () => 204;
      before = receiver.requests.length;
    });
    await serve();
    await waitUntil('it is given up', () => counts().dropped === 1);
    assert.deepEqual([receiver.requests.length, counts().delivered], [before, 0]);
    await restart();
  });

  it('are listed without their secret, and deleted with what they had to deliver', async () => {
    answer = () => 500;
    const { secret } = await subscribe();
    assert.match(secret, /^[\w-]{32}$/);
    await client.createJob({ job: { kind: 'noop' } });
    await received(1);
    const { webhooks } = await client.listWebhooks({});
    assert.deepEqual([webhooks[0]?.name, webhooks[0]?.secret, webhooks[0]?.pending], ['webhooks/w', '', 1]);
    await client.deleteWebhook({ name: 'webhooks/w' });
    assert.deepEqual(await harness.records.scan('jobs/webhook-outbox', {}), []);
    await rejectsWith(client.deleteWebhook({ name: 'webhooks/w' }), Code.NOT_FOUND, 'WEBHOOK_NOT_FOUND');
  });

  it('are refused for other origins, twice, and with faults', async () => {
    await rejectsWith(subscribe({ url: 'https://example.com/x' }), Code.INVALID_ARGUMENT, 'WEBHOOK_URL_REFUSED');
    for (const change of [
      { secret: 'short' },
      { events: [9] },
      { states: [9] },
      { name: 'webhooks/Not_ok' },
      { labels: { 'Not ok': '' } },
    ]) {
      await rejectsWith(subscribe(change), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    }
    await subscribe();
    await rejectsWith(subscribe(), Code.ALREADY_EXISTS, 'WEBHOOK_EXISTS');
  });

  it('call https or this machine only, and only what is named', () => {
    const origins = ['https://a.example', 'http://127.0.0.1:8080', 'http://b.example'];
    for (const [url, allowed] of [
      ['https://a.example/x', true],
      ['http://127.0.0.1:8080/', true],
      ['http://b.example/', false],
      ['https://a.example:8443/', false],
      ['https://a.example.evil/', false],
      ['https://user:pw@a.example/', false],
      ['http://127.0.0.1:8081/', false],
      ['file:///etc/passwd', false],
      ['nonsense', false],
    ] as const)
      assert.equal(isAllowed(url, origins), allowed, url);
  });
});
