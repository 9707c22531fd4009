import assert from 'node:assert/strict';
import { Code } from '../../server/core/codes.ts';
import { AppError } from '../../server/core/errors.ts';
import { silentLogger } from '../../server/core/log.ts';
import { createJobLogs } from '../../server/jobs/insight/job-logs.ts';
import { createFakeClock } from '../support/fake-clock.ts';

describe('log lines of attempts', () => {
  const failure = (code: Code, reason: string) => new AppError({ code, reason, message: 'no' });
  const line = JSON.stringify({ jobId: 'j', attempt: 1, number: 1, atMs: 0, level: 'info', message: 'm', fields: {} });

  /** Gives what the logs make of lines that the records answer so. */
  async function taking(batch: () => Promise<void>) {
    let take: (lines: readonly string[], position: string) => Promise<void> = async () => {};
    const logs = createJobLogs({
      records: { get: async () => undefined, batch } as never,
      store: {} as never,
      queue: {
        readLogs: (_from, onLines) => {
          take = onLines;
          return { close: async () => {} };
        },
      },
      clock: createFakeClock(),
      log: silentLogger,
      retentionMs: 1_000,
    });
    await logs.start();
    return take([line], '1-0');
  }

  it('are asked for again while the records are full or away', async () => {
    const full = failure(Code.RESOURCE_EXHAUSTED, 'DISK_FULL');
    await assert.rejects(
      taking(() => Promise.reject(full)),
      full,
    );
  });

  it('do not hold up others when they can never be stored', async () => {
    await taking(() => Promise.reject(failure(Code.INVALID_ARGUMENT, 'INVALID_FIELDS')));
  });
});
