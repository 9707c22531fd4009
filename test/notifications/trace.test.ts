import assert from 'node:assert/strict';
import type { FinishedSpan } from '../../server/core/telemetry/finished-span.ts';
import { startChildScript } from '../support/child-script.ts';

const script = new URL('./children/traced-publish.ts', import.meta.url);

describe('the trace of a notification', () => {
  it('links the published event, its rule and the push to each device', async () => {
    const child = startChildScript(script, []);
    assert.equal(await child.ended, 0, child.errors());
    const lines = child.lines.map((line) => JSON.parse(line) as Partial<FinishedSpan> & { traceparent?: string });
    const spans = lines.filter(({ spanId }) => spanId !== undefined);
    const [first, second] = lines.filter(({ traceparent }) => traceparent !== undefined);
    const rule = spans.find(({ name }) => name === 'rule refresh-rows');
    const pushes = spans.filter(({ name }) => name === 'notification.push');
    const server = spans.find(({ spanId }) => spanId === rule?.parentSpanId);
    assert.equal(server?.kind, 'server');
    assert.deepEqual(pushes.map(({ attributes }) => attributes?.['device.id']).sort(), ['phone', 'tv']);
    for (const push of pushes) {
      assert.equal(push.traceId, server?.traceId);
      assert.equal(push.parentSpanId, rule?.spanId);
      assert.equal(push.error, '');
    }
    // A device continues the trace with what the notification carries.
    assert.equal(first?.traceparent, `00-${rule?.traceId}-${rule?.spanId}-01`);
    assert.equal(second?.traceparent, first?.traceparent);
    assert.equal(first?.traceId, server?.traceId, 'the event names its trace');
  });
});
