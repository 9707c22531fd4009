import assert from 'node:assert/strict';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import { systemRandom } from '../../server/core/random.ts';
import type { JobNotice } from '../../server/jobs/webhooks/webhook.ts';
import { createWebhooks, type Webhooks, type WebhooksDeps } from '../../server/jobs/webhooks/webhooks.ts';
import type { RecordsStore } from '../../server/stores/records/records-store.ts';
import { createEmbeddedStores } from '../support/embedded-stores.ts';
import { startHttpReceiver } from '../support/http-receiver.ts';
import { createShiftedClock } from '../support/shifted-clock.ts';
import { waitUntil } from '../support/wait-until.ts';

type Receiver = Awaited<ReturnType<typeof startHttpReceiver>>;

describe('a webhook beside one that does not answer', () => {
  let stores: Awaited<ReturnType<typeof createEmbeddedStores>>;
  let records: RecordsStore;
  let good: Receiver;
  let silent: Receiver;
  let webhooks: Webhooks;
  beforeEach(async () => {
    stores = await createEmbeddedStores();
    records = stores.records;
    good = await startHttpReceiver(() => 204);
    silent = await startHttpReceiver(() => undefined);
  });
  afterEach(async () => {
    await Promise.all([good.close(), silent.close()]);
    await webhooks.close();
    await stores[Symbol.asyncDispose]();
  });
  const open = async (options: Partial<WebhooksDeps>) => {
    webhooks = createWebhooks({
      ...{ records, clock: systemClock, random: systemRandom, log: silentLogger },
      origins: [good.origin, silent.origin],
      baseBackoffMs: 60_000,
      ...options,
    });
    await webhooks.start();
    const common = { events: [], kinds: [], states: [], labels: {}, secret: '' };
    await webhooks.create({ ...common, id: 'a-silent', url: silent.origin });
    await webhooks.create({ ...common, id: 'good', url: good.origin });
  };
  const notice = (i: number): JobNotice => ({
    ...{ id: `job-${i}/ended`, atMs: 0, job: `jobs/job-${i}`, kind: 'noop', state: 'succeeded', owner: '', labels: {} },
    ...{ template: '', schedule: '', event: 'ended', reason: '', message: '' },
  });

  it('does not wait for it', async () => {
    await open({ timeoutMs: 60_000 });
    for (let i = 0; i < 20; i++) await webhooks.tell(notice(i));
    await waitUntil('all are told', () => good.requests.length === 20);
    assert.ok(silent.requests.length <= 4, 'a few at once');
  });

  it('does not lose to it what may wait', async () => {
    await open({ timeoutMs: 60_000, maxPending: 3 });
    for (let i = 0; i < 6; i++) {
      await webhooks.tell(notice(i));
      await waitUntil('it is told', () => good.requests.length === i + 1);
      await waitUntil('it is noted', () => webhooks.status('good').pending === 0);
    }
    assert.deepEqual([webhooks.counters.snapshot().dropped, webhooks.status('a-silent').pending], [3, 3]);
  });

  it('tries again after its time also when the clock was set back by an hour', async () => {
    const clock = createShiftedClock();
    let answer = 500;
    const late = await startHttpReceiver(() => answer);
    await open({ clock, baseBackoffMs: 200, origins: [good.origin, silent.origin, late.origin] });
    await webhooks.update('good', { url: late.origin }, 0);
    await webhooks.tell(notice(0));
    await waitUntil('it waits', () => webhooks.status('good').lastError === 'HTTP 500');
    answer = 204;
    clock.shift(-3_600_000);
    await waitUntil('it is told', () => webhooks.status('good').pending === 0);
    await late.close();
  });

  it('is not told again by a server whose try failed after another one had told it', async () => {
    await open({ timeoutMs: 300 });
    await webhooks.delete('good');
    await webhooks.tell(notice(0));
    await waitUntil('it is tried', () => silent.requests.length === 1);
    // As the other server leaves it.
    await records.delete('jobs/webhook-outbox', 'a-silent/job-0/ended');
    await waitUntil('it is given up here', () => webhooks.status('a-silent').pending === 0);
    assert.deepEqual(await records.scan('jobs/webhook-outbox', {}), []);
  });
});
