import assert from 'node:assert/strict';
import { join } from 'node:path';
import { systemClock } from '../../server/core/clock.ts';
import { silentLogger } from '../../server/core/log.ts';
import type { FinishedSpan } from '../../server/core/telemetry/finished-span.ts';
import { createRelayReader, createRelayWriter } from '../../workers/queue/relay.ts';
import { type OpenedRedis, openRedis } from '../../workers/redis/private-redis.ts';
import { startChildScript } from '../support/child-script.ts';
import { createTempDir, type TempDir } from '../support/temp-dir.ts';
import { waitUntil } from '../support/wait-until.ts';

describe('traces of jobs', () => {
  let temp: TempDir;
  let redis: OpenedRedis;
  before(async () => {
    temp = await createTempDir();
    redis = await openRedis({ dir: join(temp.path, 'redis'), log: silentLogger });
  });
  after(async () => {
    await redis.close();
    await temp[Symbol.asyncDispose]();
  });

  it('go on over the queue to the worker and to the parts, with spans named by kind', async () => {
    const preload = new URL('../../server/core/telemetry/preload.ts', import.meta.url);
    const options = `NODE_OPTIONS=--disable-warning=ExperimentalWarning --import=${preload.href}`;
    const script = new URL('fixtures/traced-jobs.ts', import.meta.url);
    const child = startChildScript(script, [redis.url, temp.path], ['env', options]);
    assert.equal(await child.ended, 0, child.errors());
    const { traceId, spans } = JSON.parse(child.lines[0] ?? '') as { traceId: string; spans: FinishedSpan[] };
    const ofTrace = spans.filter((span) => span.traceId === traceId);
    const names = ofTrace.map((span) => span.name).toSorted();
    assert.deepEqual(
      names.filter((name) => name.startsWith('job ')),
      ['job fan', 'job fan', 'job part', 'job part'],
    );
    const byId = new Map(ofTrace.map((span) => [span.spanId, span]));
    for (const part of ofTrace.filter((span) => span.name === 'job part')) {
      const ancestors: string[] = [];
      for (let at = byId.get(part.parentSpanId); at; at = byId.get(at.parentSpanId)) ancestors.push(at.name);
      assert.deepEqual([ancestors[1], ancestors.at(-1)], ['job fan', 'create job']);
    }
    assert.deepEqual(
      spans.filter((span) => span.traceId !== traceId),
      [],
      'housekeeping of the queue makes no spans',
    );
  });

  it('are relayed in bounded batches, and what cannot be sent is counted', async () => {
    const received: string[] = [];
    const common = { url: redis.url, prefix: '{relay}', clock: systemClock, log: silentLogger };
    const reader = createRelayReader(common, (spans) => void received.push(...spans));
    const writer = createRelayWriter(common);
    await waitUntil('the relay stands', async () => {
      writer.write(['probe']);
      await writer.flush();
      return received.includes('probe');
    });
    const dropped = writer.dropped();
    const sent = Array.from({ length: 250 }, (_, i) => `span-${i}`);
    writer.write(sent);
    await waitUntil('all came', () => received.includes('span-249'));
    assert.deepEqual(
      received.filter((span) => span !== 'probe'),
      sent,
    );
    writer.write(Array.from({ length: 2_100 }, () => 'flood'));
    assert.equal(writer.dropped() - dropped, 100);
    await writer.close();
    writer.write(['late']);
    await writer.flush();
    assert.equal(writer.dropped() - dropped, 101);
    await reader.close();
  });
});
