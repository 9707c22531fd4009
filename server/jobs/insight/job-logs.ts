import type { AttemptLogLine } from '../../../workers/queue/attempt-log.ts';
import type { JobQueue } from '../../../workers/queue/job-queue.ts';
import type { Clock } from '../../core/clock.ts';
import { isPermanent } from '../../core/codes.ts';
import { AppError, messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { RecordsStore } from '../../stores/records/records-store.ts';
import { isTerminal } from '../job-record.ts';
import { decode, encode, type JobStore, logLinesOf } from '../job-store.ts';

type StoredLogLine = Omit<AttemptLogLine, 'jobId'>;

/** Log lines of attempts: from the workers into the records, and from there to readers. */
export interface JobLogs {
  /** Lines of a job, oldest first; with `follow` until it has ended. Throws JOB_NOT_FOUND. */
  read(id: string, attempt: number, follow: boolean, signal: AbortSignal): AsyncGenerator<StoredLogLine>;
  delete(id: string): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

interface JobLogsDeps {
  readonly records: RecordsStore;
  readonly store: JobStore;
  readonly queue: Pick<JobQueue, 'readLogs'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly retentionMs: number;
}

const cursor = { partition: 'jobs/cursors', key: 'job-logs' };
const pageRows = 500;
const pollMs = 250;
/** Lines of a job that has ended may come this much after its end, in ms. */
const lateMs = 1_000;

/**
 * Lines are stored to last for `retentionMs`. A follower asks four times a second, and for a second after the end of
 * the job for lines that come late.
 */
export function createJobLogs({ records, store, queue, clock, log, retentionMs }: JobLogsDeps): JobLogs {
  let reader: { close(): Promise<void> } | undefined;

  const take = async (texts: readonly string[], position: string) => {
    const lines = texts.map((text) => JSON.parse(text) as AttemptLogLine);
    try {
      await records.batch([
        ...lines.map(({ jobId, ...line }) => ({
          kind: 'put' as const,
          partition: logLinesOf(jobId),
          key: keyOf(line.attempt, line.number),
          value: encode(line),
          ttlMs: retentionMs,
        })),
        { kind: 'put', ...cursor, value: encode(position) },
      ]);
    } catch (error) {
      // A full disk, say: the reader hands them over again. A job does not wait for its log.
      if (!(error instanceof AppError) || !isPermanent(error.code)) throw error;
      log.warn('log lines of jobs could not be stored', { lines: lines.length, error: messageOf(error) });
    }
  };

  return {
    read: async function* read(id, attempt, follow, signal) {
      let from = attempt === 0 ? '' : keyOf(attempt, 0);
      const bound = attempt === 0 ? {} : { to: keyOf(attempt + 1, 0) };
      for (let endedAt: number | undefined; ; ) {
        signal.throwIfAborted();
        const job = await store.get(id);
        const rows = await records.scan(logLinesOf(id), {
          ...bound,
          limit: pageRows,
          ...(from === '' ? {} : { from }),
        });
        for (const { key, value } of rows) {
          from = `${key}\0`;
          yield decode<StoredLogLine>(value);
        }
        if (rows.length === pageRows) continue;
        if (!follow) return;
        if (isTerminal(job.state)) endedAt ??= clock.monotonic();
        if (endedAt !== undefined && clock.monotonic() - endedAt > lateMs) return;
        await clock.sleep(pollMs, signal);
      }
    },
    delete: async (id) => {
      for (;;) {
        const rows = await records.scan(logLinesOf(id), { limit: pageRows });
        for (const { key } of rows) await records.delete(logLinesOf(id), key);
        if (rows.length < pageRows) return;
      }
    },
    start: async () => {
      const stored = await records.get(cursor.partition, cursor.key);
      reader = queue.readLogs(stored === undefined ? '0-0' : decode<string>(stored.value), take);
    },
    close: async () => reader?.close(),
  };
}

function keyOf(attempt: number, number: number): string {
  return `${String(attempt).padStart(6, '0')}/${String(number).padStart(6, '0')}`;
}
