import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { Job_State, JobWebhook_Event } from '../../proto/gen/showrunner/jobs/v1/job_pb.ts';
import { Code } from '../../server/core/codes.ts';
import { type ReceivedRequest, startHttpReceiver } from '../support/http-receiver.ts';
import { rejectsWith } from '../support/rejects-with.ts';
import { waitUntil } from '../support/wait-until.ts';
import { openServedJobs, type ServedJobs } from './fixtures/served-jobs.ts';

describe('a webhook that is changed', () => {
  let served: ServedJobs;
  let client: ServedJobs['client'];
  let receiver: Awaited<ReturnType<typeof startHttpReceiver>>;
  let status = 204;
  before(async () => {
    receiver = await startHttpReceiver(() => status);
    // So long that only a change can bring the next try.
    const webhooks = { baseBackoffMs: 600_000 };
    served = await openServedJobs({ webhookOrigins: [receiver.origin], webhooks });
    client = served.client;
    await served.harness.startWorker({ work: 4 });
  });
  after(async () => {
    await served.close();
    await receiver.close();
  });
  beforeEach(async () => {
    status = 204;
    receiver.requests.length = 0;
    await client.createWebhook({
      webhook: { name, url: `${receiver.origin}/old`, secret: 'the-secret-of-before', kinds: ['noop', 'echo'] },
    });
  });
  afterEach(() => client.deleteWebhook({ name }));

  const name = 'webhooks/pager';
  const update = (webhook: object, ...paths: string[]) =>
    client.updateWebhook({ webhook: { name, ...webhook }, updateMask: { paths } });
  const isSignedWith = (secret: string, { headers, body }: ReceivedRequest) => {
    const [, time = '', mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['x-showrunner-signature'])) ?? [];
    return createHmac('sha256', secret).update(`${time}.${body}`).digest('hex') === mac;
  };

  it('keeps what it has still to deliver, for its new URL and signed with its new secret', async () => {
    status = 500;
    await client.createJob({ job: { kind: 'noop' } });
    await waitUntil('it was tried', () => receiver.requests.length === 1);
    await waitUntil('it waits', () => served.harness.jobs.webhooks.status('pager').lastError === 'HTTP 500');
    status = 204;
    const { webhook, secret } = await update({ url: `${receiver.origin}/new`, secret: 'the-secret-from-now-on' });
    assert.deepEqual([webhook?.revision, webhook?.secret, secret], [2, '', 'the-secret-from-now-on']);
    await waitUntil('it is done', () => served.harness.jobs.webhooks.status('pager').pending === 0);
    const [before, after] = receiver.requests;
    assert.ok(before !== undefined && after !== undefined && receiver.requests.length === 2);
    assert.deepEqual([before.path, after.path], ['/old', '/new']);
    assert.equal(before.headers['x-showrunner-delivery'], after.headers['x-showrunner-delivery']);
    assert.ok(isSignedWith('the-secret-of-before', before));
    assert.ok(isSignedWith('the-secret-from-now-on', after));
  });

  it('has only that changed which is named, or else which is given', async () => {
    const shown = async () => (await client.listWebhooks({})).webhooks[0];
    const made = await update({}, 'secret');
    assert.match(made.secret, /^[\w-]{32}$/);
    assert.deepEqual([made.webhook?.url, made.webhook?.kinds], [`${receiver.origin}/old`, ['noop', 'echo']]);
    assert.equal((await update({ states: [Job_State.FAILED] })).secret, '', 'it stays');
    await update({ events: [JobWebhook_Event.ENDED], labels: { team: 'a' }, kinds: [] }, 'kinds', 'events');
    const webhook = await shown();
    assert.deepEqual(
      [webhook?.kinds, webhook?.events, webhook?.states, webhook?.labels, webhook?.revision],
      [[], [JobWebhook_Event.ENDED], [Job_State.FAILED], {}, 4],
    );
    await update({ url: `${receiver.origin}/all` }, '*');
    assert.deepEqual([(await shown())?.events, (await shown())?.states], [[], []]);
  });

  it('stays as it is when another revision is stored, or something is wrong', async () => {
    await update({ url: `${receiver.origin}/new`, revision: 1 });
    await rejectsWith(update({ url: `${receiver.origin}/x`, revision: 1 }), Code.ABORTED, 'WEBHOOK_CHANGED');
    await rejectsWith(update({ url: 'https://example.com/x' }), Code.INVALID_ARGUMENT, 'WEBHOOK_URL_REFUSED');
    await rejectsWith(update({}, 'url'), Code.INVALID_ARGUMENT, 'WEBHOOK_URL_REFUSED');
    for (const [change, ...paths] of [
      [{ secret: 'short' }],
      [{ events: [9] }],
      [{ states: [9] }],
      [{ labels: { 'Not ok': '' } }],
      [{ name: 'webhooks/Not_ok' }],
      [{}, 'create_time'],
      [{}, 'url', '*'],
    ] as const) {
      await rejectsWith(update(change, ...paths), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    }
    await rejectsWith(client.updateWebhook({}), Code.INVALID_ARGUMENT, 'INVALID_FIELDS');
    await rejectsWith(
      update({ name: 'webhooks/none', secret: 'long-enough-for-it' }),
      Code.NOT_FOUND,
      'WEBHOOK_NOT_FOUND',
    );
    const { webhooks } = await client.listWebhooks({});
    assert.deepEqual([webhooks[0]?.url, webhooks[0]?.revision], [`${receiver.origin}/new`, 2]);
  });
});
