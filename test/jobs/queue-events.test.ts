import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import { invalidField } from '../../server/core/errors.ts';
import { silentLogger } from '../../server/core/log.ts';
import { type JobPumpDeps, runJobPump } from '../../server/jobs/job-pump.ts';
import type { JobLedger } from '../../workers/queue/job-ledger.ts';
import { type QueueEvent, readQueueEvents } from '../../workers/queue/queue-events.ts';
import { createFakeClock } from '../support/fake-clock.ts';

describe('events of the queue', () => {
  const entry = (position: string, id: string, type: string, body: string): [string, string[]] => [
    position,
    ['id', id, 'type', type, 'fence', '1', 'attempt', '1', 'at', '5', 'body', body],
  ];

  it('are read again when a large outcome among them could not be fetched', async () => {
    const stream = [
      entry('1-0', 'a', 'started', '{"worker":"w"}'),
      entry('2-0', 'a', 'finished', ''),
      entry('3-0', 'b', 'progress', 'not JSON'),
      entry('4-0', 'b', 'started', '{"worker":"w"}'),
    ];
    const abort = new AbortController();
    let refusals = 1;
    const clock = createFakeClock();
    const redis = {
      xread: async (...args: unknown[]) => {
        const after = Number.parseInt(String(args.at(-1)), 10);
        const rest = stream.filter(([position]) => Number.parseInt(position, 10) > after);
        // A real one blocks until there is something.
        return rest.length === 0 ? new Promise<never>(() => {}) : [['events', rest]];
      },
    } as unknown as Redis;
    const ledger = {
      inspect: async () => {
        if (refusals-- > 0) throw new Error('the connection broke');
        return [{ fence: 1n, outcome: { state: 'succeeded', result: {} } }];
      },
    } as unknown as JobLedger;
    const reading = (async () => {
      for await (const batch of readQueueEvents(
        { redis, ledger, stream: 'events', log: silentLogger, clock },
        '0-0',
        abort.signal,
      )) {
        return batch.map(({ jobId, type }) => `${jobId} ${type}`);
      }
      return [];
    })();
    while (refusals > 0) await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 10; i++) await clock.advance(500);
    assert.deepEqual(await reading, ['a started', 'a finished', 'b started']);
    abort.abort();
  });

  it('are applied behind one that never can be', async () => {
    const applied: string[] = [];
    let cursor = '';
    const event = (position: string, jobId: string) => ({ position, jobId, type: 'progress' }) as unknown as QueueEvent;
    const deps = {
      store: {
        readCursor: async () => '0-0',
        writeCursor: async (position: string) => {
          cursor = position;
        },
        update: async (id: string) => {
          if (id === 'bad') throw invalidField('value', 'must be at most 4 MiB');
          applied.push(id);
          return undefined;
        },
      },
      queue: {
        events: async function* () {
          yield [event('1-0', 'bad'), event('2-0', 'good')];
        },
      },
      clock: createFakeClock(),
      log: silentLogger,
    } as unknown as JobPumpDeps;
    await runJobPump(deps, new AbortController().signal);
    assert.deepEqual([applied, cursor], [['good'], '2-0']);
  });
});
